// Package natscreds gives connections to NATS the credentials of a .creds file.
package natscreds

import (
	"fmt"

	"github.com/nats-io/nats.go"
)

// Option has a connection use a .creds file: a JWT and the key that signs the server's nonce. read returns its text and
// is called at every connect, so new credentials need no restart, and a file that cannot be read yet fails the connect
// instead of the option, as with nats.UserJWT. setting is the name of the setting in errors, which hold no text of the
// file.
func Option(setting string, read func() ([]byte, error)) nats.Option {
	parse := func() (o nats.Options, err error) {
		text, err := read()
		if err == nil {
			err = nats.UserCredentialBytes(text)(&o)
		}
		return o, err
	}
	named := func(err error) error {
		if err != nil {
			err = fmt.Errorf("%s: %w", setting, err)
		}
		return err
	}
	return func(o *nats.Options) error {
		o.UserJWT = func() (token string, err error) {
			creds, err := parse()
			if err == nil {
				token, err = creds.UserJWT()
			}
			return token, named(err)
		}
		o.SignatureCB = func(nonce []byte) (signature []byte, err error) {
			creds, err := parse()
			if err == nil {
				signature, err = creds.SignatureCB(nonce)
			}
			return signature, named(err)
		}
		return nil
	}
}
