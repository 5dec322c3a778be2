package config

import (
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// mask replaces a secret that is set.
const mask = "***"

// encode is the YAML of v as decode reads it, with secrets masked.
func encode(v reflect.Value, m member) *yaml.Node {
	switch v.Kind() {
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, m := range members(v.Type()) {
			n.Content = append(n.Content, text("!!str", m.name), encode(v.FieldByIndex(m.index), m))
		}
		return n
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if v.Len() == 0 || v.Type().Elem().Kind() != reflect.Struct {
			n.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n.Content = append(n.Content, encode(v.Index(i), m))
		}
		return n
	case reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		names := v.MapKeys()
		slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, name := range names {
			n.Content = append(n.Content, text("!!str", name.String()), encode(v.MapIndex(name), m))
		}
		return n
	default:
		return encodeScalar(v, m)
	}
}

func encodeScalar(v reflect.Value, m member) *yaml.Node {
	switch {
	case m.secret && !v.IsZero():
		return text("!!str", mask)
	case v.Type() == durationType:
		return text("", formatDuration(time.Duration(v.Int())))
	case m.unit != "":
		return text("", formatQuantity(m.unit, v.Int()))
	}
	switch v.Kind() {
	case reflect.Bool:
		return text("", strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int64:
		return text("", strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		return text("", strconv.FormatFloat(v.Float(), 'g', -1, 64))
	default:
		return text("!!str", v.String())
	}
}

// text is a scalar; with the tag !!str it is quoted if YAML would read it as something else.
func text(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

// write prints the struct v as YAML.
func write(w io.Writer, v reflect.Value) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(encode(v, member{})); err != nil {
		return err
	}
	return enc.Close()
}
