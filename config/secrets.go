package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// secretFiles are the settings that name a file with a secret, and the files.
func (c Config) secretFiles() map[string]string {
	files := map[string]string{}
	add := func(setting, file string) {
		if file != "" {
			files[setting] = file
		}
	}
	for i, k := range c.Signing.Keys {
		add(fmt.Sprintf("signing.keys[%d].key_file", i), k.KeyFile)
	}
	for i, t := range c.API.Tokens {
		add(fmt.Sprintf("api.tokens[%d].token_file", i), t.TokenFile)
	}
	for i, s := range c.Prewarm.Door.Callbacks.Secrets {
		add(fmt.Sprintf("prewarm.callbacks.secrets[%d].secret_file", i), s.SecretFile)
	}
	return files
}

// CheckSecretFiles looks at who may touch the files that hold keys and tokens. One that its group or others can write is an error: whoever
// writes it is the server's owner. The warnings name those that everybody can read, as mounted secrets often are on purpose. A
// file that is not there is left to its reader.
func (c Config) CheckSecretFiles() (warnings []string, err error) {
	var errs []error
	for setting, file := range c.secretFiles() {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", setting, err))
			continue
		}
		switch mode := info.Mode(); {
		case !mode.IsRegular(): // a pipe from a secrets manager; who may read it is no matter of its mode
		case mode.Perm()&0o022 != 0:
			errs = append(errs, fmt.Errorf("%s: %s can be written by others than its owner (%v): chmod go-w %[2]s", setting, file, mode.Perm()))
		case mode.Perm()&0o004 != 0:
			warnings = append(warnings, fmt.Sprintf("%s: every user of this machine can read %s (%v)", setting, file, mode.Perm()))
		}
	}
	return warnings, errors.Join(errs...)
}
