package naming

import (
	"slices"
	"strings"
)

// IsScheme reports whether a scheme is one of originals.
func IsScheme(scheme string) bool {
	return slices.Contains([]string{"http", "https", "s3", "gs", "local"}, strings.ToLower(scheme))
}

// Wrong says what is wrong with a source by the rules of its scheme, "" = nothing: a URL has a host, an object a bucket
// and a key, a file a path and no host. host says that the authority is that of a URL.
func Wrong(scheme, authority, path string, host bool) string {
	switch strings.ToLower(scheme) {
	case "local":
		if authority != "" || len(path) < 2 {
			return "the source names no file: local:///path is wanted"
		}
	case "s3", "gs":
		if !host || strings.ContainsAny(authority, ":[") || len(path) < 2 {
			return "the source names no object: a bucket and a key are wanted, as in s3://bucket/key"
		}
	default:
		if !host {
			return "the source's URL has no valid host"
		}
	}
	return ""
}
