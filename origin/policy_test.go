package origin

import (
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"code.dny.dev/ssrf"
)

// The NetworkPolicy is the second wall: whatever the guard refuses, it does not let out either.
func TestDeployPolicyHoldsWhatTheGuardRefuses(t *testing.T) {
	text, err := os.ReadFile("../deploy/kubernetes/network.yaml")
	if err != nil {
		t.Fatal(err)
	}
	prefix := regexp.MustCompile(`[0-9a-f:.]+/\d+`)
	blocks := regexp.MustCompile(`cidr: (\S+)\s+except: \[([^\]]*)\]`).FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks were found, want one of each family", len(blocks))
	}
	refused := slices.Concat(ssrf.IPv4DeniedPrefixes, ssrf.IPv6DeniedPrefixes, []netip.Prefix{ssrf.IPv6NAT64Prefix})
	for _, p := range strings.Fields("64:ff9b:1::/48 2001::/32 ::1/128 ::/96 ::ffff:0:0/96 100::/64 5f00::/16 fc00::/7 fe80::/10 ff00::/8") {
		refused = append(refused, netip.MustParsePrefix(p))
	}
	for _, block := range blocks {
		allowed := netip.MustParsePrefix(strings.Trim(block[1], `"`))
		var except []netip.Prefix
		for _, p := range prefix.FindAllString(block[2], -1) {
			e := netip.MustParsePrefix(p)
			if e.Masked() != e || allowed.Bits() >= e.Bits() || !allowed.Contains(e.Addr()) {
				t.Errorf("%v cannot be excepted from %v", e, allowed)
			}
			except = append(except, e)
		}
		for _, p := range refused {
			held := slices.ContainsFunc(except, func(e netip.Prefix) bool { return e.Bits() <= p.Bits() && e.Contains(p.Addr()) })
			if allowed.Overlaps(p) && !held {
				t.Errorf("%v is refused by the guard and let out by the NetworkPolicy", p)
			}
		}
	}
}
