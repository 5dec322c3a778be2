package access

import (
	"slices"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/signing"
)

// Act lets another door than HTTP make one call as the token of that name, as if its holder had made it here. Faults:
// rate_limited past the token's limit; overloaded where there is no such token, for a reload may bring it back.
func (a *Access) Act(name string) (Caller, signing.Rights, error) {
	now := a.Current()
	at := slices.IndexFunc(now.callers, func(t Caller) bool { return t.Name == name && t.May(ScopePrewarm) })
	if at < 0 {
		f := fault.New(fault.Overloaded, "access.Act", "no token of that name has the scope prewarm", nil)
		return Caller{}, signing.Rights{}, f
	}
	who := now.callers[at]
	return who, now.RightsOf(who), a.Take(who)
}
