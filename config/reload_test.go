package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// change gives a value another one of its type.
func change(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Float64:
		v.SetFloat(v.Float() + 1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), v.Len()+1, v.Len()+1))
	case reflect.Map:
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
		v.Set(m)
	default:
		t.Fatalf("%s: a key of kind %v", path, v.Kind())
	}
}

// Each key that changes is either taken or named as one that needs a restart; no other key is touched.
func TestReloadOfEveryKey(t *testing.T) {
	old := Default()
	leaves := 0
	for i, k := range keys(reflect.ValueOf(&old).Elem()) {
		if !k.leaf || strings.Contains(k.path, "[]") {
			continue
		}
		leaves++
		next := Default()
		change(t, k.path, keys(reflect.ValueOf(&next).Elem())[i].value)
		got, taken, restart := old.Reload(next)
		want, named := old, restart
		if isReloadable(k.path) {
			want, named = next, taken
		}
		if !reflect.DeepEqual(got, want) || !slices.Equal(named, []string{k.path}) || len(taken)+len(restart) != 1 {
			t.Errorf("%s: taken %v, restart %v", k.path, taken, restart)
		}
	}
	if leaves < 80 {
		t.Errorf("only %d keys were changed", leaves)
	}
	if _, taken, restart := old.Reload(Default()); len(taken)+len(restart) != 0 {
		t.Errorf("without a change: taken %v, restart %v", taken, restart)
	}
}

// What is listed as reloadable exists, once, and an empty list in a file is the absent one.
func TestReloadableKeysExist(t *testing.T) {
	c := Default()
	known := map[string]bool{}
	for _, k := range keys(reflect.ValueOf(&c).Elem()) {
		known[k.path] = true
	}
	for i, r := range reloadable() {
		if !known[r] || slices.Contains(reloadable()[:i], r) {
			t.Errorf("%s is not a key, or is listed twice", r)
		}
	}
	next := Default()
	next.Server.CORS = []string{}
	next.Presets = map[string]string{}
	if _, taken, restart := c.Reload(next); len(taken)+len(restart) != 0 {
		t.Errorf("empty lists: taken %v, restart %v", taken, restart)
	}
}
