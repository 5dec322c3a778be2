package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
)

func printed(t *testing.T, c Config) string {
	t.Helper()
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadOrder(t *testing.T) {
	path := writeFile(t, "server: {listen: ':1', admin: ':2'}\norigin: {allow: [a.example, b.example]}\n")
	c, err := Load(path, []string{"GOLDCREST_SERVER_ADMIN=:3", "GOLDCREST_ORIGIN_ALLOW=[c.example]", "GOLDCREST_CACHE_TTL=30d"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Server.Listen, want.Server.Admin = ":1", ":3"
	want.Origin.Allow = []string{"c.example"}
	want.Cache.TTL = 30 * 24 * time.Hour
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got\n%s\nwant\n%s", printed(t, c), printed(t, want))
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name, text string
		environ    []string
		want       string
	}{
		{"an unknown key", "server: {lisen: x}", nil, "server.lisen is not a key; the nearest one is server.listen"},
		{"an unknown variable", "", []string{"GOLDCREST_SERVER_LISEN=x"}, "the nearest one is GOLDCREST_SERVER_LISTEN"},
		{"a field of the composition root", "origin: {Own: [x]}", nil, "origin.Own is not a key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(writeFile(t, tt.text), tt.environ)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
			if !reflect.DeepEqual(c, Config{}) {
				t.Error("a configuration that was refused is handed out")
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent.yaml"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want one that says the file does not exist", err)
	}
}

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	tests := []struct {
		want  string
		spoil func(c *Config)
	}{
		{"server.listen", func(c *Config) { c.Server.Listen = "8080" }},
		{"api.tokens", func(c *Config) { c.API.Tokens = append(c.API.Tokens, access.Token{Token: "0123456789abcdef"}) }},
		{"signing.signature_size", func(c *Config) { c.Signing.SignatureSize = 8 }},
		{"origin.timeout", func(c *Config) { c.Origin.Timeout = 0 }},
		{"transform.engine", func(c *Config) { c.Transform.Engine = "magick" }},
		{"negotiation.formats", func(c *Config) { c.Negotiation.Formats = []string{"bmp"} }},
		{"cache.memory", func(c *Config) { c.Cache.Memory.Memory = -1 }},
		{"cache.max_age", func(c *Config) { c.Cache.MaxAge = 0 }},
		{"cache.revalidate", func(c *Config) { c.Cache.Revalidate = time.Hour }},
		{"cache.store.lookup", func(c *Config) { c.Cache.Store.Tier.Lookup = 0 }},
		{"cache.store.dir", func(c *Config) { c.Cache.Store.Dir.Dir = "" }},
		{"cache.store.s3.endpoint", func(c *Config) { c.Cache.Store.S3.Endpoint = "minio:9000" }},
		{"presets: ", func(c *Config) { c.Presets = map[string]string{"lite": "nonsense:1"} }},
		{`presets: preset "mark": option "watermark" is not supported: transform.watermark is not set`,
			func(c *Config) { c.Presets = map[string]string{"logo": "w:9", "mark": "wm:1"} }},
		{"log.level", func(c *Config) { c.Log.Level = "loud" }},
		{"log.format", func(c *Config) { c.Log.Format = "xml" }},
	}
	for _, tt := range tests {
		c := Default()
		tt.spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error = %v, want one sentence that begins with %s", err, tt.want)
		}
	}
}

// Unsigned URLs are for development: anyone who can reach the listener could request anything.
func TestUnsignedNeedsLoopback(t *testing.T) {
	for listen, ok := range map[string]bool{"127.0.0.1:8080": true, "[::1]:8080": true, ":8080": false, "10.0.0.1:8080": false} {
		c := Default()
		c.Signing.Unsigned, c.Server.Listen = true, listen
		if err := c.Validate(); (err == nil) != ok || !ok && !strings.Contains(err.Error(), "signing.unsigned") {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// A URL may ask for a watermark where there is one, by itself or by a preset. Elsewhere the refusal names the key.
func TestWatermarkNeedsItsKey(t *testing.T) {
	c := Default()
	for _, file := range []string{"", "/etc/goldcrest/logo.png"} {
		c.Transform.Watermark = file
		p, err := c.NewParser()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = p.ParsePath("/wm:0.5/plain/https://c.example/a.jpg")
		refused := fault.KindOf(err) == fault.UnsupportedOption &&
			strings.Contains(fault.Of(err).Public, "transform.watermark is not set")
		if refused != (file == "") || err != nil && !refused {
			t.Errorf("with the watermark %q: %v", file, err)
		}
		if _, _, err := p.ParseOptions("wm:1/wm:0"); err != nil {
			t.Errorf("no watermark: %v", err)
		}
	}
	c.Presets = map[string]string{"default": "wm:1:soea"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// What is printed is a configuration file that says the same.
func TestPrintIsReadable(t *testing.T) {
	want := Default()
	want.Presets = map[string]string{"lite": "rs:fit:480:0", "on": "1"}
	want.Origin.Ports, want.Server.CORS = []int{80, 443}, []string{"*"}
	got, err := Load(writeFile(t, printed(t, want)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if printed(t, got) != printed(t, want) {
		t.Errorf("got\n%s\nwant\n%s", printed(t, got), printed(t, want))
	}
}

// Two keys with one variable, or a type that cannot be read, would show only on the day somebody sets them.
func TestEveryKeyHasItsOwnVariable(t *testing.T) {
	c := Default()
	seen := map[string]string{}
	for _, k := range keys(reflect.ValueOf(&c).Elem()) {
		name := k.env()
		if name == "" {
			continue
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%s stands for %s and for %s", name, other, k.path)
		}
		if seen[name] = k.path; notKeys[name] || serviceLink.MatchString(name+"=") {
			t.Errorf("%s stands for %s and for something that is not configuration", name, k.path)
		}
	}
	for _, pair := range environOf(t, c) {
		if got, err := Load("", []string{pair}); err != nil || printed(t, got) != printed(t, c) {
			t.Errorf("%s: the default does not read as itself: %v", pair, err)
		}
	}
}

// environOf is the whole of c as variables.
func environOf(t *testing.T, c Config) []string {
	t.Helper()
	var out []string
	for _, k := range keys(reflect.ValueOf(&c).Elem()) {
		if name := k.env(); name != "" {
			out = append(out, name+"="+shown(t, k))
		}
	}
	return out
}

// config.yaml is what people copy: it names every key, and says the defaults where it is not an example.
func TestExampleSaysTheDefaults(t *testing.T) {
	const example = "../config.yaml"
	got, err := Load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	want := Default()
	want.Presets = got.Presets // the only example that is not in a comment
	if printed(t, got) != printed(t, want) {
		t.Errorf("config.yaml says\n%s\nwant the defaults\n%s", printed(t, got), printed(t, want))
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	named := pathsOf(doc.Content[0], "")
	for _, k := range keys(reflect.ValueOf(&want).Elem()) {
		inList := strings.Contains(k.path, "[]") // those stand in the commented examples
		if found := slices.Contains(named, k.path); !found && !(inList && strings.Contains(string(text), " "+k.name+":")) {
			t.Errorf("config.yaml does not mention %s", k.path)
		}
	}
}

// pathsOf lists the paths of all keys below n.
func pathsOf(n *yaml.Node, parent string) []string {
	var out []string
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		path := join(parent, n.Content[i].Value)
		out = append(append(out, path), pathsOf(n.Content[i+1], path)...)
	}
	return out
}
