package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/goldcrest/goldcrest/fault"
)

// decoder decodes YAML over a configuration struct. It is stricter than the yaml package: an unknown key, a duplicate
// key or a value of the wrong kind is reported with its line, and all of them at once.
type decoder struct {
	from  string // the file or environment variable, for messages
	lines bool   // whether a line number helps
	known []key
	errs  []error
}

// decodeFile decodes the text of a YAML (or JSON) file over the struct in root.
func decodeFile(name string, text []byte, root reflect.Value) error {
	d := decoder{from: name, lines: true, known: keys(root)}
	if n := d.parse(text); n != nil {
		d.value(n, root, member{}, "")
	}
	return errors.Join(d.errs...)
}

// parse parses the only document of text; nil if there is none, or it is invalid.
func (d *decoder) parse(text []byte) *yaml.Node {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			d.errs = append(d.errs, fmt.Errorf("%s: %w", d.from, err))
		}
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.errs = append(d.errs, fmt.Errorf("%s: one YAML document is wanted, more follow", d.from))
		return nil
	}
	return doc.Content[0]
}

func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	at := d.from
	if d.lines {
		at += ":" + strconv.Itoa(n.Line)
	}
	if path == "" {
		path = "the configuration"
	}
	d.errs = append(d.errs, fmt.Errorf("%s: %s "+format, append([]any{at, path}, args...)...))
}

// value decodes n over v. Sections keep keys that n does not name; everything else is replaced as a whole.
func (d *decoder) value(n *yaml.Node, v reflect.Value, m member, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	empty := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	switch v.Kind() {
	case reflect.Struct:
		if !empty { // a section whose keys are all commented out
			d.section(n, v, path)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
		if !empty {
			d.list(n, v, m, path)
		}
	case reflect.Map:
		v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
		if !empty {
			d.table(n, v, m, path)
		}
	default:
		switch {
		case n.Kind != yaml.ScalarNode:
			d.fail(n, path, "wants a single value, not %s", kindName(n))
		case empty:
			d.fail(n, path, "has no value: give one, or leave the key out for its default")
		default:
			if err := setScalar(v, m, n.Value); err != nil {
				d.fail(n, path, "%w", err)
			}
		}
	}
}

func (d *decoder) section(n *yaml.Node, v reflect.Value, path string) {
	byName := map[string]member{}
	for _, m := range members(v.Type()) {
		byName[m.name] = m
	}
	d.pairs(n, path, func(k, value *yaml.Node) {
		m, ok := byName[k.Value]
		if !ok {
			name := join(path, k.Value)
			d.fail(k, name, "is not a key; the nearest one is %s", d.nearest(name))
			return
		}
		d.value(value, v.FieldByIndex(m.index), m, join(path, m.name))
	})
}

func (d *decoder) nearest(wrong string) string {
	names := make([]string, len(d.known))
	for i, k := range d.known {
		names[i] = k.path
	}
	return fault.Nearest(wrong, names)
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, m member, path string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "wants a list, such as [a, b], not %s", kindName(n))
		return
	}
	for _, child := range n.Content {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(child, elem, m, path+"[]")
		v.Set(reflect.Append(v, elem))
	}
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, m member, path string) {
	d.pairs(n, path, func(k, value *yaml.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(value, elem, m, join(path, k.Value))
		v.SetMapIndex(reflect.ValueOf(k.Value), elem)
	})
}

// pairs calls each for every key and value of the mapping n, once for a key.
func (d *decoder) pairs(n *yaml.Node, path string, each func(k, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "wants keys and values, not %s", kindName(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			d.fail(k, path, "wants a name before the colon, not %s", kindName(k))
			continue
		}
		if line, twice := seen[k.Value]; twice {
			d.fail(k, join(path, k.Value), "is given twice, first in line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		each(k, n.Content[i+1])
	}
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

// setScalar parses text into v by its type and unit.
func setScalar(v reflect.Value, m member, text string) error {
	switch {
	case v.Type() == durationType:
		d, err := parseDuration(text)
		v.SetInt(int64(d))
		return err
	case m.unit != "":
		n, err := parseQuantity(m.unit, text)
		v.SetInt(n)
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("wants true or false, not %q", text)
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("wants a whole number, not %q", text)
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f-f != 0 {
			return fmt.Errorf("wants a number, not %q", text)
		}
		v.SetFloat(f)
	default:
		return fmt.Errorf("is of type %s, which cannot be configured", v.Type())
	}
	return nil
}
