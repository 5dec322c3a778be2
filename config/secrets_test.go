package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/prewarm/webhook"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
)

// Every setting that names a secret's file is looked at, in every mode that matters.
func TestCheckSecretFiles(t *testing.T) {
	settings := map[string]func(c *Config, file string){
		"signing.keys[0].key_file": func(c *Config, file string) { c.Signing.Keys = []signing.Key{{KeyFile: file}} },
		"api.tokens[1].token_file": func(c *Config, file string) { c.API.Tokens = []access.Token{{Token: "x"}, {TokenFile: file}} },
		"prewarm.callbacks.secrets[0].secret_file": func(c *Config, file string) {
			c.Prewarm.Door.Callbacks.Secrets = []webhook.Secret{{SecretFile: file}}
		},
		"intakes[0].url_file": func(c *Config, file string) {
			c.Intakes = []intake.Config{{Broker: intake.Broker{URLFile: file}}}
		},
		"intakes[0].creds_file": func(c *Config, file string) {
			c.Intakes = []intake.Config{{Broker: intake.Broker{CredsFile: file}}}
		},
		"prewarm.queue.password_file": func(c *Config, file string) { c.Prewarm.Queue.PasswordFile = file },
		"prewarm.queue.creds_file":    func(c *Config, file string) { c.Prewarm.Queue.CredsFile = file },
	}
	for setting, set := range settings {
		for mode, want := range map[os.FileMode]string{0o400: "", 0o600: "", 0o640: "", 0o644: "warning", 0o444: "warning", 0o604: "warning",
			0o620: "error", 0o602: "error", 0o666: "error", 0o664: "error"} {
			file := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			link := filepath.Join(t.TempDir(), "link") // Mounted secrets are links.
			if err := os.Symlink(file, link); err != nil {
				t.Fatal(err)
			}
			cfg := Default()
			set(&cfg, link)
			warnings, err := cfg.CheckSecretFiles()
			got := ""
			switch {
			case err != nil && strings.HasPrefix(err.Error(), setting+": ") && strings.Contains(err.Error(), "chmod go-w "+link):
				got = "error"
			case len(warnings) == 1 && strings.HasPrefix(warnings[0], setting+": "):
				got = "warning"
			}
			if got != want || len(warnings) > 1 || (want != "error") != (err == nil) {
				t.Errorf("%s, mode %v: got %q (%v, %v), want %q", setting, mode, got, warnings, err, want)
			}
		}
		cfg := Default()
		set(&cfg, filepath.Join(t.TempDir(), "none"))
		if warnings, err := cfg.CheckSecretFiles(); err != nil || warnings != nil {
			t.Errorf("%s: an absent file gives %v, %v; its reader tells it better", setting, warnings, err)
		}
	}
}

// A configuration file that holds a secret itself is a secret's file; one without may be anybody's to read.
func TestConfigurationFileWithSecrets(t *testing.T) {
	const key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	for text, secret := range map[string]bool{
		"log: {level: info}":                                   false,
		"signing: {keys: [{key_file: /x}]}":                    false,
		"signing: {keys: [{key: " + key + "}]}":                true,
		"signing: {keys: [{key_file: /x, salt: abcd}]}":        true,
		"api: {tokens: [{name: a, token: a-token-of-length}]}": true,
	} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for mode, want := range map[os.FileMode]string{0o600: "", 0o644: "warning", 0o666: "error"} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			cfg, err := Load(path, nil)
			got := ""
			if err != nil && strings.Contains(err.Error(), "chmod go-w "+path) && !strings.Contains(err.Error(), key) {
				got = "error"
			}
			warnings, bad := cfg.CheckSecretFiles()
			if len(warnings) == 1 && strings.Contains(warnings[0], path) {
				got = "warning"
			}
			if !secret {
				want = ""
			}
			if got != want || bad != nil {
				t.Errorf("%s, mode %v: got %q (%v, %v, %v), want %q", text, mode, got, err, warnings, bad, want)
			}
		}
		// A reload looks at the file that it read.
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		inForce, _, _ := Default().Reload(cfg)
		if warnings, _ := inForce.CheckSecretFiles(); (len(warnings) == 1) != secret {
			t.Errorf("%s: after a reload the warnings are %v", text, warnings)
		}
	}
}

// Every key that names a file is one of a secret, or is known not to be.
func TestEveryFileOfASecretIsTagged(t *testing.T) {
	c := Default()
	for _, k := range keys(reflect.ValueOf(&c).Elem()) {
		public := k.name == "cert_file" || k.name == "ca_file" // certificates
		if strings.HasSuffix(k.name, "_file") && k.file == public {
			t.Errorf("%s: the tag secret:\"file\" says %v", k.path, k.file)
		}
	}
}
