package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// errBlocked marks a connection that the guard refused.
var errBlocked = errors.New("the address is not public")

// guard checks the address of the actual connection, after every name lookup and on every hop; names, their spelling
// and earlier results of a resolver do not matter.
type guard struct {
	rules *ssrf.Guardian
}

func newGuard(private []string) (guard, error) {
	var v4, v6 []netip.Prefix
	for _, text := range private {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return guard{}, err
		}
		if prefix.Addr().Is4() {
			v4 = append(v4, prefix.Masked())
		} else {
			v6 = append(v6, prefix.Masked())
		}
	}
	return guard{ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}, nil
}

// control is a net.Dialer's Control: it sees the address of each connection before the handshake.
func (g guard) control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s", errBlocked, network)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errBlocked, err)
	}
	return g.check(to.Addr())
}

// check compares one address with the registries of special addresses. An IPv6 address that embeds an IPv4 address must
// be allowed in both forms: a gateway may deliver to the embedded one.
func (g guard) check(addr netip.Addr) error {
	addr = addr.Unmap()
	if err := g.rules.SafeAddr(addr); err != nil {
		return fmt.Errorf("%w: %w", errBlocked, err)
	}
	if inner, ok := embedded(addr); ok {
		if err := g.rules.SafeAddr(inner); err != nil {
			return fmt.Errorf("%w: %w", errBlocked, err)
		}
	}
	return nil
}

// embedded returns the IPv4 address inside an IPv6 one: NAT64 (RFC 6052, RFC 8215), 6to4, Teredo, ISATAP, SIIT and the
// old "compatible" form. Mapped addresses were unmapped before.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr.IsUnspecified() || addr.IsLoopback() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	v4 := func(at int, mask byte) (netip.Addr, bool) {
		return netip.AddrFrom4([4]byte{b[at] ^ mask, b[at+1] ^ mask, b[at+2] ^ mask, b[at+3] ^ mask}), true
	}
	head := func(bytes ...byte) bool { return string(b[:len(bytes)]) == string(bytes) }
	switch {
	case head(0x00, 0x64, 0xff, 0x9b):
		return v4(12, 0)
	case head(0x20, 0x02):
		return v4(2, 0)
	case head(0x20, 0x01, 0, 0):
		return v4(12, 0xff)
	case head(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0), head(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0):
		return v4(12, 0)
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return v4(12, 0)
	}
	return netip.Addr{}, false
}
