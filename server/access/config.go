package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/prewarm/usage"
	"github.com/goldcrest/goldcrest/signing"
)

// API holds who may call the private listener's API.
type API struct {
	// Tokens are the bearer tokens of the API. Empty = the API refuses everybody.
	Tokens []Token `yaml:"tokens"`
	// Rate is how many calls a second each token may make, however many Data Units they hold; more are refused with
	// rate_limited before their body is read. 0 = no limit.
	Rate int `yaml:"rate"`
	// Burst is how many of them may come at once. 0 = two seconds' worth.
	Burst int `yaml:"burst"`
}

// DefaultAPI has no tokens, and a limit that only floods reach: a million Data Units an hour are 278 calls a second if
// each comes alone.
func DefaultAPI() API { return API{Rate: 1000} }

// Token is one caller of the API.
type Token struct {
	// Name says whose token it is: in the log, and as the owner of the jobs that it posts, which keeps them when the
	// secret is rotated. Jobs of a token without a name belong to admin.
	Name string `yaml:"name"`
	// Token is the secret itself, at least 16 characters; or set token_file.
	Token string `yaml:"token" secret:"true"`
	// TokenFile is a file that holds the secret; blanks around it are dropped. It is read again at each reload.
	// The server refuses one that another user
	// could write or exchange: it belongs to root or to the server's user, and so do the directories above it.
	TokenFile string `yaml:"token_file" secret:"file"`
	// Scopes say what it may do: prewarm, check, sign, explain, purge, compat, events, admin.
	Scopes []string `yaml:"scopes"`
	// Key is the id of the key in signing.keys that /v1/prewarm and /v1/sign sign with for this token, and no other.
	// Empty = the first valid one, or the one that a call of /v1/sign names.
	Key string `yaml:"key"`
	// Sources are the hosts of the sources that it may ask for, in prewarm, check, sign, explain and purge:
	// "img.example.com", "*.example.com" for every host below it, or "s3://bucket" and the like as for signing keys.
	// They hold on each redirect too, also for what the cache has; of what prewarm makes for it, those of its key do as
	// well. Empty = every source.
	Sources []string `yaml:"sources"`
	// Presets are the names of the presets that it may ask for, in prewarm, sign and explain, and then nothing else.
	// Empty = all presets and options.
	Presets []string `yaml:"presets"`
	// Bodies are the ways in which bodies of this token may be read: unit, units and envelope, as the query's body
	// says; where one is listed, that needs no saying. With unit and units nothing inside a posted document is an
	// instruction. Empty = any, and where the query does not say, by the body's shape.
	Bodies []string `yaml:"bodies"`
	// Rate is api.rate for this token alone. 0 = that.
	Rate int `yaml:"rate"`
	// Burst belongs to Rate. 0 = two seconds' worth.
	Burst int `yaml:"burst"`
	// Quota bounds what it may have made ahead; what exceeds it is refused with quota_exceeded. It belongs to the name:
	// tokens of one name share it, and say the same.
	Quota usage.Quota `yaml:"quota"`
}

// The scopes of API tokens.
const (
	ScopePrewarm = "prewarm"
	ScopeCheck   = "check"
	ScopeSign    = "sign"
	ScopeExplain = "explain"
	ScopePurge   = "purge"
	ScopeCompat  = "compat"
	ScopeEvents  = "events"
	ScopeAdmin   = "admin"
)

// minToken is the shortest token taken: 16 characters of a random alphabet cannot be guessed over HTTP.
const minToken = 16

// Validate reports every token that cannot work.
func (a API) Validate() error {
	var bad invalid.Values
	err := signing.Limit{Rate: a.Rate, Burst: a.Burst}.Validate()
	bad.If(err != nil, "api.%w", err)
	for i, t := range a.Tokens {
		bad.Add(fmt.Sprintf("api.tokens[%d] (%s)", i, t.Name), a.validate(t))
	}
	return bad.Err()
}

// validate reports what cannot work, and a quota of which nobody could say whose it is, or how large.
func (a API) validate(t Token) error {
	known := []string{ScopePrewarm, ScopeCheck, ScopeSign, ScopeExplain, ScopePurge, ScopeCompat, ScopeEvents,
		ScopeAdmin}
	var bad invalid.Values
	bad.If((t.Token == "") == (t.TokenFile == ""), "set one of token and token_file")
	bad.If(t.Token != "" && len(t.Token) < minToken, "token is shorter than %d characters", minToken)
	bad.If(len(t.Scopes) == 0, "scopes is empty, so the token would open nothing")
	for _, s := range t.Scopes {
		bad.If(!slices.Contains(known, s), "unknown scope %q; known are %s", s, strings.Join(known, ", "))
	}
	bad.If(slices.Contains(t.Scopes, ScopeCompat) && len(t.Sources)+len(t.Presets) > 0,
		"the scope %s knows neither sources nor presets: give that to a token of its own", ScopeCompat)
	for _, b := range t.Bodies {
		bad.If(!slices.Contains(unit.Bodies(), b), "bodies: %q is none of %s", b, strings.Join(unit.Bodies(), ", "))
	}
	bad.If(t.Name == "" && t.Quota != (usage.Quota{}), "quota: belongs to the token's name, and it has none")
	for _, other := range a.Tokens {
		bad.If(other.Name == t.Name && other.Quota != t.Quota,
			"quota: tokens of one name share it, and have to say the same")
	}
	_, err := signing.NewRights(t.Sources, t.Presets)
	return bad.Err(err, signing.Limit{Rate: t.Rate, Burst: t.Burst}.Validate(), t.Quota.Validate())
}

// Has reports whether a token of that name has the scope.
func (a API) Has(name, scope string) bool {
	return slices.ContainsFunc(a.Tokens, func(t Token) bool {
		return t.Name == name && slices.Contains(t.Scopes, scope)
	})
}

// Quotas are those of all tokens that have a name, by it.
func (a API) Quotas() map[string]usage.Quota {
	all := map[string]usage.Quota{}
	for _, t := range a.Tokens {
		if t.Name != "" {
			all[t.Name] = t.Quota
		}
	}
	return all
}
