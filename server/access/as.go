package access

import (
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/signing"
)

// Acting is a token that another door than HTTP acts as.
type Acting struct {
	Caller
	May signing.Rights // what it may ask for
}

// As lets another door than HTTP make one call as the token of a name, which has to have the scope, as if its holder had
// made it here. Faults: rate_limited past the token's limit; overloaded where there is no such token, for a reload may
// bring it back.
func (a *Access) As(name, scope string) (Acting, error) {
	now := a.Current()
	at := slices.IndexFunc(now.callers, func(t Caller) bool { return t.Name == name && t.May(scope) })
	if at < 0 {
		return Acting{}, fault.New(fault.Overloaded, "access.As", "no token of that name has the scope "+scope, nil)
	}
	who := now.callers[at]
	return Acting{who, now.RightsOf(who)}, a.Take(who)
}
