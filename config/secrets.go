package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/goldcrest/goldcrest/secretfile"
)

// secretFiles are the settings that name a secret file, and the files.
func (c Config) secretFiles() map[string]string {
	files := map[string]string{}
	add := func(setting, file string) {
		if file != "" {
			files[setting] = file
		}
	}
	c.Origin.Sources.files(add)
	for i, k := range c.Signing.Keys {
		add(fmt.Sprintf("signing.keys[%d].key_file", i), k.KeyFile)
	}
	add("signing.encryption_key_file", c.Signing.EncryptionKeyFile)
	add("signing.thumbor.key_file", c.Signing.Thumbor.KeyFile)
	for i, t := range c.API.Tokens {
		add(fmt.Sprintf("api.tokens[%d].token_file", i), t.TokenFile)
	}
	for i, k := range c.Cache.SealKey {
		add(fmt.Sprintf("cache.seal_key[%d].key_file", i), k.KeyFile)
	}
	for i, k := range c.Links.Keys {
		add(fmt.Sprintf("links.keys[%d].key_file", i), k.KeyFile)
	}
	for i, s := range c.Prewarm.Door.Callbacks.Secrets {
		add(fmt.Sprintf("prewarm.callbacks.secrets[%d].secret_file", i), s.SecretFile)
	}
	for i, in := range c.Intakes {
		add(fmt.Sprintf("intakes[%d].url_file", i), in.Broker.URLFile)
		add(fmt.Sprintf("intakes[%d].creds_file", i), in.Broker.CredsFile)
	}
	add("reports.dsn_file", c.Reports.DSNFile)
	add("prewarm.queue.password_file", c.Prewarm.Queue.PasswordFile)
	add("prewarm.queue.creds_file", c.Prewarm.Queue.CredsFile)
	add("the configuration file holds secrets", c.file)
	return files
}

// CheckSecretFiles checks who can access the files with keys and tokens, including the configuration itself if it has
// any. A file that another user can write or replace is an error: that user would control the server. The warnings name
// those that everyone can read, as mounted secrets often are on purpose. A missing file is left to its reader, which
// checks the opened file again.
func (c Config) CheckSecretFiles() (warnings []string, err error) {
	var errs []error
	files := c.secretFiles()
	for _, setting := range slices.Sorted(maps.Keys(files)) {
		warning, err := secretfile.Check(files[setting])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", setting, err))
		}
		if warning != "" {
			warnings = append(warnings, setting+": "+warning)
		}
	}
	return warnings, errors.Join(errs...)
}

// holdsSecrets reports whether any value that is tagged as a secret is set.
func holdsSecrets(v reflect.Value) bool {
	for _, m := range members(v.Type()) {
		f := v.FieldByIndex(m.index)
		switch {
		case m.secret && !f.IsZero():
			return true
		case f.Kind() == reflect.Struct && holdsSecrets(f):
			return true
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			for i := range f.Len() {
				if holdsSecrets(f.Index(i)) {
					return true
				}
			}
		}
	}
	return false
}
