package config

import (
	"fmt"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/server/access"
)

// validateIntakes checks the list, and what it uses of other sections.
func (c Config) validateIntakes() error {
	var bad invalid.Values
	names := map[string]bool{}
	for i, in := range c.Intakes {
		key := fmt.Sprintf("intakes[%d] (%s)", i, in.Name)
		bad.Add(key, in.Validate())
		bad.If(names[in.Name], "%s: name: another intake has it", key)
		names[in.Name] = true
		bad.If(!c.API.Has(in.Token, access.ScopePrewarm),
			"%s: token: no token in api.tokens is called %q and has the scope prewarm", key, in.Token)
		for _, name := range in.Presets {
			bad.If(!c.hasPreset(name), "%s: presets: there is no preset %q in presets", key, name)
		}
	}
	bad.If(len(c.Intakes) > 0 && !c.Is(RolePrewarm), "intakes: an instance without the role prewarm takes none")
	return bad.Err()
}
