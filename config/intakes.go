package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goldcrest/goldcrest/server/access"
)

// validateIntakes checks the list, and what it uses of other sections.
func (c Config) validateIntakes() error {
	var errs []error
	names := map[string]bool{}
	for i, in := range c.Intakes {
		fail := func(err error) { errs = append(errs, fmt.Errorf("intakes[%d] (%s): %w", i, in.Name, err)) }
		if err := in.Validate(); err != nil {
			fail(err)
		}
		if names[in.Name] {
			fail(errors.New("name: another intake has it"))
		}
		names[in.Name] = true
		if !slices.ContainsFunc(c.API.Tokens, func(t access.Token) bool {
			return t.Name == in.Token && slices.Contains(t.Scopes, access.ScopePrewarm)
		}) {
			fail(fmt.Errorf("token: no token in api.tokens is called %q and has the scope prewarm", in.Token))
		}
		for _, name := range in.Presets {
			if _, ok := c.Presets[name]; !ok {
				fail(fmt.Errorf("presets: there is no preset %q in presets", name))
			}
		}
	}
	if len(c.Intakes) > 0 && !c.Is(RolePrewarm) {
		errs = append(errs, errors.New("intakes: an instance without the role prewarm takes none"))
	}
	return errors.Join(errs...)
}
