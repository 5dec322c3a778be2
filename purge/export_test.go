package purge

import "encoding/json"

// PrefixesOf are those of a purge in a log.
func PrefixesOf(r Record) []string {
	var o order
	if err := json.Unmarshal(r.Body, &o); err != nil {
		panic(err)
	}
	return o.Prefixes
}
