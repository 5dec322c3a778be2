// Package advice formats failures for the user of a command: what happened, and what to do about it.
package advice

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/goldcrest/goldcrest/app"
	"github.com/goldcrest/goldcrest/fault"
)

// Told is the text of a failure for users. It leaves out the function where a fault arose, which is for the log.
func Told(err error) string {
	text := err.Error()
	var f *fault.Error
	if !errors.As(err, &f) {
		return text
	}
	plain := f.Public + " (" + string(f.Kind) + ")"
	if f.Err != nil && f.Err.Error() != f.Public {
		plain += ": " + f.Err.Error()
	}
	return strings.Replace(text, f.Error(), plain, 1)
}

// Of is the advice on a failure; "" = its own text says it, or there is none.
func Of(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return OfKind(f.Kind)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "end the program that has this address, perhaps another server, or set server.listen and server.admin to others"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have that address: set server.listen and server.admin to ones that it has; \":8080\" is all of them"
	case errors.Is(err, fs.ErrNotExist):
		return "look whether the name is right; a relative one counts from the working directory"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "give this user the right to it, or name another place"
	case errors.Is(err, syscall.ENOSPC):
		return "free space on that disk, or name a place on another"
	}
	return app.Todo(err)
}

// OfKind is the advice for a kind of fault, for users who can change the configuration.
func OfKind(k fault.Kind) string {
	switch k {
	case fault.BadOption, fault.UnsupportedOption:
		return "docs/urls.md lists every option with an example"
	case fault.BadSource:
		return "give the whole URL of the picture, beginning with http:// or https://"
	case fault.BadPath:
		return "a path is /signature/options/source; \"goldcrest sign\" makes one"
	case fault.BadSignature, fault.KeyNotValid:
		return "sign with a pair of signing.keys that is valid now; \"goldcrest sign\" does"
	case fault.SourceNotAllowed:
		return "add the host to origin.allow, or to the sources of the key or token"
	case fault.AddressBlocked:
		return "add its range to origin.allow_private, such as 10.0.0.0/8, if the machine is one of yours"
	case fault.SourceNotFound, fault.SourceForbidden, fault.SourceError:
		return "ask the source's server for the URL from here: curl -v URL"
	case fault.DNSFailed, fault.ConnectFailed, fault.TLSFailed, fault.SourceTimeout:
		return "look whether this machine reaches the source's server: curl -v URL"
	case fault.NotAnImage, fault.UnsupportedFormat:
		return "look at what the URL gives: curl -v URL; JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF and BMP can be read"
	case fault.SourceTooLarge:
		return "raise origin.max_bytes, or give a smaller picture"
	case fault.TooManyPixels:
		return "raise transform.max_pixels and transform.image_memory, or give a smaller picture"
	case fault.ResultTooLarge:
		return "ask for fewer pixels, or raise transform.max_result_pixels"
	case fault.DecodeFailed, fault.TruncatedSource, fault.Poison, fault.TooCostly, fault.HashMismatch:
		return "the file is broken, or not the one that is meant: put it there again"
	}
	return ""
}
