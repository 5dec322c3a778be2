package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// sample has one field of each kind that the parts' structs use.
type sample struct {
	Listen string `yaml:"listen"`
	Deep   struct {
		Size   int64         `yaml:"size" unit:"bytes"`
		Area   int64         `yaml:"max_area" unit:"pixels"`
		Wait   time.Duration `yaml:"wait"`
		On     bool          `yaml:"on"`
		Count  int           `yaml:"count"`
		Share  float64       `yaml:"share"`
		Ports  []int         `yaml:"ports"`
		Hidden string        // set by the composition root
	} `yaml:"deep"`
	Keys    []sampleKey       `yaml:"keys"`
	Presets map[string]string `yaml:"presets"`
	Lent    `yaml:",inline"`
}

type sampleKey struct {
	ID    string   `yaml:"id"`
	Key   string   `yaml:"key" secret:"true"`
	Hosts []string `yaml:"hosts"`
}

// Lent lends its keys to the struct around it.
type Lent struct {
	Password string          `yaml:"password" secret:"true"`
	Steps    []time.Duration `yaml:"steps"`
}

func sampleDefault() sample {
	var s sample
	s.Listen = ":8080"
	s.Deep.Size, s.Deep.Wait, s.Deep.Ports = 1<<20, 25*time.Second, []int{80, 443}
	s.Presets = map[string]string{"a": "w:1"}
	return s
}

func TestDecodeFile(t *testing.T) {
	got := sampleDefault()
	err := decodeFile("f.yaml", []byte(`
listen: 8081
deep:
  size: 32MiB
  max_area: 50MP
  wait: 7d
  on: true
  count: -3
  share: 0.25
  ports: [8080]
keys:
  - {id: a, key: 00112233}
  - {id: b, hosts: ["*.example.com"]}
presets: {lite: "rs:fit:480:0"}
password: "hunter2"
steps: [5s, 30s]
`), reflect.ValueOf(&got).Elem())
	if err != nil {
		t.Fatal(err)
	}
	want := sampleDefault()
	want.Listen = "8081" // a text stays the text that was written
	want.Deep.Size, want.Deep.Area, want.Deep.Wait, want.Deep.On = 32<<20, 50_000_000, 7*day, true
	want.Deep.Count, want.Deep.Share, want.Deep.Ports = -3, 0.25, []int{8080}
	want.Keys = []sampleKey{{ID: "a", Key: "00112233"}, {ID: "b", Hosts: []string{"*.example.com"}}}
	want.Presets = map[string]string{"lite": "rs:fit:480:0"}
	want.Password, want.Steps = "hunter2", []time.Duration{5 * time.Second, 30 * time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeFileKeepsDefaults(t *testing.T) {
	for name, text := range map[string]string{
		"an empty file":         "",
		"only comments":         "# listen: x\n",
		"an empty document":     "---\n",
		"a commented section":   "deep:\n  # size: 1\n",
		"an empty JSON object":  "{}",
		"the defaults, as JSON": `{"listen": ":8080", "deep": {"size": 1048576, "wait": "25s", "ports": [80, 443]}, "presets": {"a": "w:1"}}`,
		"with anchors":          "listen: &p \":8080\"\npresets: {a: w:1}\n",
	} {
		got := sampleDefault()
		if err := decodeFile("f.yaml", []byte(text), reflect.ValueOf(&got).Elem()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := sampleDefault(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestDecodeFileRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an unknown key", "lisen: x", "f.yaml:1: lisen is not a key; the nearest one is listen"},
		{"an unknown key in a section", "deep:\n  sise: 1", "f.yaml:2: deep.sise is not a key; the nearest one is deep.size"},
		{"a key of another section", "max_area: 1", "the nearest one is deep.max_area"},
		{"an unknown key in a list", "keys:\n- {id: a}\n- {idd: b}", "f.yaml:3: keys[].idd is not a key; the nearest one is keys[].id"},
		{"a hidden field", "deep: {Hidden: x}", "deep.Hidden is not a key"},
		{"a key given twice", "listen: a\nlisten: b", "f.yaml:2: listen is given twice, first in line 1"},
		{"a merge key", "<<: {listen: a}", "<< is not a key"},
		{"a section for a value", "listen: {a: b}", "listen wants a single value, not keys and values"},
		{"a value for a section", "deep: 3", "deep wants keys and values, not a single value"},
		{"a value for a list", "keys: a", "keys wants a list, such as [a, b], not a single value"},
		{"a list for a map", "presets: [a]", "presets wants keys and values, not a list"},
		{"a list for the whole", "[a]", "the configuration wants keys and values, not a list"},
		{"no value", "listen:", "listen has no value"},
		{"a wrong number", "deep: {count: many}", `deep.count wants a whole number, not "many"`},
		{"a fraction", "deep: {ports: [8.5]}", `deep.ports[] wants a whole number, not "8.5"`},
		{"not a number", "deep: {share: .nan}", `deep.share wants a number, not ".nan"`},
		{"a wrong truth", "deep: {on: yes}", `deep.on wants true or false, not "yes"`},
		{"a wrong size", "deep: {size: 3 apples}", "deep.size wants 32MiB, 64kB or a plain number"},
		{"a duration without a unit", "deep: {wait: 25}", `deep.wait wants a duration like 300ms, 25s, 1h30m or 7d, not "25"`},
		{"two documents", "listen: a\n---\nlisten: b", "one YAML document is wanted"},
		{"a broken file", "listen: [", "f.yaml: yaml:"},
		{"an alias cycle", "presets: &a {x: *a}", "presets.x wants a single value"},
		{"a list as a name", "? [a]\n: b", "wants a name before the colon"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sampleDefault()
			err := decodeFile("f.yaml", []byte(tt.text), reflect.ValueOf(&s).Elem())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

// All that is wrong is told at once: a restart for each slip would be a cruel way to edit a file.
func TestDecodeFileReportsEverything(t *testing.T) {
	s := sampleDefault()
	err := decodeFile("f.yaml", []byte("lisen: x\ndeep: {on: 1, count: z}\n"), reflect.ValueOf(&s).Elem())
	if got := strings.Count(err.Error(), "\n") + 1; got != 3 {
		t.Errorf("%d sentences, want 3: %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("listen: a\ndeep: {size: 1MiB, wait: 1d}\nkeys: [{id: a, key: b}]")
	f.Add(`{"presets": {"a": "b"}, "steps": ["1s"]}`)
	f.Add("presets: &a {x: *a}")
	f.Add("a: [&b {c: *b}, *b]\n--- x")
	f.Fuzz(func(t *testing.T, text string) {
		first, second := sampleDefault(), sampleDefault()
		if decodeFile("f", []byte(text), reflect.ValueOf(&first).Elem()) != nil {
			return
		}
		first.Password = ""
		for i := range first.Keys {
			first.Keys[i].Key = "" // secrets do not survive printing
		}
		var out strings.Builder
		if err := write(&out, reflect.ValueOf(&first).Elem()); err != nil {
			t.Fatal(err)
		}
		if err := decodeFile("f", []byte(out.String()), reflect.ValueOf(&second).Elem()); err != nil {
			t.Fatalf("what was printed does not read: %v\n%s", err, out.String())
		}
		var again strings.Builder
		if err := write(&again, reflect.ValueOf(&second).Elem()); err != nil || again.String() != out.String() {
			t.Errorf("printed %s\nand again %s %v", out.String(), again.String(), err)
		}
	})
}
