package config

import (
	"reflect"
	"strings"
	"time"
)

// envPrefix is the prefix of our environment variables.
const envPrefix = "GOLDCREST_"

// member is one field of a configuration struct, as its tags describe it.
type member struct {
	name   string // the YAML key
	index  []int  // for reflect's FieldByIndex
	unit   string // "bytes", "pixels" or ""
	secret bool   // masked wherever it is printed
	file   bool   // the name of a file with a secret
	owner  reflect.Type
	field  string // the Go name, in owner
}

// members lists the keys of a struct in the order of its fields. Fields without a yaml tag are not configuration:
// package app sets them. The members of a field tagged ",inline" count as those of the struct around it.
func members(t reflect.Type) []member {
	var out []member
	for i := range t.NumField() {
		f := t.Field(i)
		name, flags, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if flags == "inline" {
			for _, m := range members(f.Type) {
				m.index = append([]int{i}, m.index...)
				out = append(out, m)
			}
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		secret := f.Tag.Get("secret")
		out = append(out, member{name: name, index: f.Index, unit: f.Tag.Get("unit"), secret: secret == "true",
			file: secret == "file", owner: t, field: f.Name})
	}
	return out
}

// key is one key of the configuration: a section, a value, or (with "[]" in its path) a member of a list's elements.
type key struct {
	member
	path  string
	value reflect.Value // zero for members of elements
	leaf  bool          // not a section: it has a value and, outside of lists, an environment variable
}

// env is the key's environment variable; "" for a key that can only be set as part of a list.
func (k key) env() string {
	if !k.leaf || strings.Contains(k.path, "[]") {
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

// keys lists every key below the struct v, parents first.
func keys(v reflect.Value) []key { return appendKeys(nil, v, "") }

func appendKeys(out []key, v reflect.Value, parent string) []key {
	for _, m := range members(v.Type()) {
		f := v.FieldByIndex(m.index)
		k := key{member: m, path: join(parent, m.name), value: f, leaf: f.Kind() != reflect.Struct}
		out = append(out, k)
		switch {
		case !k.leaf:
			out = appendKeys(out, f, k.path)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			out = appendKeys(out, reflect.New(f.Type().Elem()).Elem(), k.path+"[]")
		}
	}
	return out
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

var durationType = reflect.TypeFor[time.Duration]()
