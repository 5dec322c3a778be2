package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Caller identifies the token that asks about jobs by its name, which stays the same when its secret is rotated.
type Caller struct {
	Name string
	All  bool // it sees all jobs, also those without an owner
}

// Owns reports whether the caller may see and change something that belongs to owner.
func (c Caller) Owns(owner string) bool { return c.All || owner != "" && owner == c.Name }

// Shows reports whether the caller may read the queries of sources that owner has posted. Sources of jobs without an
// owner are shown to callers that see all.
func (c Caller) Shows(owner string) bool {
	return owner != "" && owner == c.Name || owner == "" && c.All
}

// MaskQuery hides the query of a source, which may contain secrets of its owner.
func MaskQuery(source string) string {
	if at := strings.IndexByte(source, '?'); at >= 0 {
		return source[:at] + "?***"
	}
	return source
}

// OwnerMark is a hash of the owner for a record's mark, since names may contain any characters.
func OwnerMark(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:16])
}

// maxOwners bounds the owners remembered for one broken source; they are the tokens of one configuration.
const maxOwners = 64
