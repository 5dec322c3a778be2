package natsqueue

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/goldcrest/goldcrest/invalid"
	"github.com/goldcrest/goldcrest/natscreds"
	"github.com/goldcrest/goldcrest/secretfile"
)

// validateCredentials reports credentials that contradict each other or other settings.
func (c Config) validateCredentials() error {
	var bad invalid.Values
	files := c.PasswordFile != "" || c.CredsFile != ""
	bad.If(c.User != "" && c.PasswordFile == "", "prewarm.queue.user: it needs prewarm.queue.password_file")
	bad.If(c.PasswordFile != "" && c.CredsFile != "",
		"prewarm.queue: one of password_file and creds_file can be set")
	bad.If(files && c.NATS == "",
		"prewarm.queue: password_file and creds_file are for a cluster; set prewarm.queue.nats too")
	bad.If(files && urlHasUser(c.NATS), "prewarm.queue.nats: it holds credentials, and so does "+
		"prewarm.queue.password_file or creds_file; one of them is too many")
	return bad.Err()
}

func urlHasUser(list string) bool {
	for server := range strings.SplitSeq(list, ",") {
		if u, err := url.Parse(strings.TrimSpace(server)); err == nil && u.User != nil {
			return true
		}
	}
	return false
}

// identity provides the credentials of a connection. It reads the file at every connect, so a new password needs no
// restart.
type identity struct {
	cfg Config

	mu     sync.Mutex
	unread error // why the last read of the file failed
}

// options returns the connection's options for credentials.
func (i *identity) options() []nats.Option {
	// While its credentials are changed, a cluster refuses connections; that must not end the connection for good.
	options := []nats.Option{nats.IgnoreAuthErrorAbort()}
	switch {
	case i.cfg.CredsFile != "":
		return append(options, natscreds.Option("prewarm.queue.creds_file", func() ([]byte, error) { return i.read(i.cfg.CredsFile) }))
	case i.cfg.PasswordFile != "" && i.cfg.User == "":
		return append(options, nats.TokenHandler(i.password))
	case i.cfg.PasswordFile != "":
		return append(options, nats.UserInfoHandler(func() (string, string) { return i.cfg.User, i.password() }))
	}
	return options
}

// read reads a file of credentials and records why that failed.
func (i *identity) read(file string) ([]byte, error) {
	text, err := secretfile.Read(file)
	text = bytes.TrimSpace(text)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s is empty", file)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.unread = err
	return text, err
}

// password returns the text of the file, or "" if it cannot be read. NATS refuses that, and explain gives the reason.
func (i *identity) password() string {
	text, err := i.read(i.cfg.PasswordFile)
	if err != nil {
		return ""
	}
	return string(text)
}

// explain adds the setting and the remedy to an error if NATS refuses the credentials.
func (i *identity) explain(err error) error {
	if !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthExpired) && !errors.Is(err, nats.ErrAuthRevoked) &&
		!errors.Is(err, nats.ErrAccountAuthExpired) {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	setting := "prewarm.queue.user and the text of prewarm.queue.password_file"
	switch {
	case i.unread != nil:
		return fmt.Errorf("prewarm.queue.password_file: %w", i.unread)
	case i.cfg.CredsFile != "":
		setting = "prewarm.queue.creds_file"
	case i.cfg.PasswordFile != "" && i.cfg.User == "":
		setting = "the token in prewarm.queue.password_file"
	case i.cfg.PasswordFile == "" && urlHasUser(i.cfg.NATS):
		setting = "user and password in prewarm.queue.nats"
	case i.cfg.PasswordFile == "":
		return fmt.Errorf("NATS asks for credentials: set prewarm.queue.user and prewarm.queue.password_file, or creds_file: %w", err)
	}
	return fmt.Errorf("NATS refuses the credentials: compare %s with the authorization of the NATS servers: %w", setting, err)
}
