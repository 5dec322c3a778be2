package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Caller is who asks about jobs: a token by its name, which it keeps when its secret is rotated.
type Caller struct {
	Name string
	All  bool // it sees the jobs of everybody, and those that have no owner
}

// Owns reports whether the caller may see and change what belongs to an owner.
func (c Caller) Owns(owner string) bool { return c.All || owner != "" && owner == c.Name }

// Shows reports whether the caller may read the queries of sources that an owner has posted. Sources of jobs without an
// owner are shown to those who see all.
func (c Caller) Shows(owner string) bool {
	return owner != "" && owner == c.Name || owner == "" && c.All
}

// MaskQuery hides the query of a source, which may hold its owner's secrets.
func MaskQuery(source string) string {
	if at := strings.IndexByte(source, '?'); at >= 0 {
		return source[:at] + "?***"
	}
	return source
}

// OwnerMark stands for an owner in a record's mark: names may hold any characters.
func OwnerMark(owner string) string {
	sum := sha256.Sum256([]byte(owner))
	return hex.EncodeToString(sum[:16])
}

// ownerOf is the owner in the mark of a job's record; false: it does not tell, as those of older versions and of
// cancelled jobs.
func ownerOf(mark string) (owner string, ok bool) {
	_, owner, ok = strings.Cut(mark, " ")
	return owner, ok
}

// maxOwners bounds the owners that are remembered of one broken source; the others are the tokens of one configuration.
const maxOwners = 64
