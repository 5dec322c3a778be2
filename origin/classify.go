package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/goldcrest/goldcrest/fault"
)

// errEarly marks a truncated picture in a body whose length the protocol does not mark: the connection may have broken.
var errEarly = errors.New("the body has no marked end")

// broken reports transport errors after which the same request may succeed at once.
func broken(err error) bool {
	var opening *net.OpError
	if errors.As(err, &opening) && opening.Op == "dial" {
		return false
	}
	for _, target := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, errEarly} {
		if errors.Is(err, target) {
			return true
		}
	}
	// net/http exports no errors for a connection that the server closed before its response or within its header.
	return strings.HasPrefix(err.Error(), "http: server closed") || strings.Contains(err.Error(), "transport connection broken")
}

// classify turns the error that ended a fetch into a fault. outer is the caller's context, inner has the fetch's own
// deadline.
func classify(outer, inner context.Context, err error) error {
	err = fault.WithoutURL(err)
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return err
	case outer.Err() == context.Canceled:
		return fault.New(fault.Canceled, "origin.Fetch", "the request was cancelled", err)
	case errors.Is(err, errBlocked):
		return fault.New(fault.AddressBlocked, "origin.Fetch", "the source's address is not public", err)
	case errors.Is(err, errSlow):
		return fault.New(fault.SourceTimeout, "origin.Fetch", "the origin sends too slowly", err)
	case inner.Err() != nil, timedOut(err):
		return fault.New(fault.SourceTimeout, "origin.Fetch", "the origin took too long", err)
	}
	if name := (*net.DNSError)(nil); errors.As(err, &name) {
		return fault.New(fault.DNSFailed, "origin.Fetch", "the source's host has no address", err)
	}
	if ofTLS(err) {
		return fault.New(fault.TLSFailed, "origin.Fetch", "the TLS connection to the origin failed", err)
	}
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return fault.New(fault.ConnectFailed, "origin.Fetch", "the origin could not be reached", err)
	}
	return fault.New(fault.SourceError, "origin.Fetch", "the origin closed the connection before the end of its response", err)
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func ofTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
	)
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, http.ErrSchemeMismatch) ||
		strings.Contains(err.Error(), "tls: ")
}
