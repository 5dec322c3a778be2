package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestDecodeEnviron(t *testing.T) {
	got := sampleDefault()
	err := decodeEnviron([]string{
		"HOME=/root",
		"GOLDCREST_LISTEN=yes: [no",
		"GOLDCREST_DEEP_MAX_AREA=2MP",
		"GOLDCREST_DEEP_WAIT=1m",
		"GOLDCREST_DEEP_ON=true",
		"GOLDCREST_DEEP_PORTS=[8443]",
		"GOLDCREST_KEYS=[{id: a, key: k=v}]",
		"GOLDCREST_PRESETS={lite: 'w:2'}",
		"GOLDCREST_STEPS=- 1s\n- 2s",
		"GOLDCREST_PASSWORD=",
		"GOLDCREST_CORPUS=/somewhere",
		"GOLDCREST_SERVICE_HOST=10.0.0.1",
		"GOLDCREST_ADMIN_SERVICE_PORT_HTTP=8081",
		"GOLDCREST_PORT=tcp://10.0.0.1:8080",
		"GOLDCREST_PORT_8080_TCP_ADDR=10.0.0.1",
	}, reflect.ValueOf(&got).Elem())
	if err != nil {
		t.Fatal(err)
	}
	want := sampleDefault()
	want.Listen = "yes: [no" // a text needs no quoting
	want.Deep.Area, want.Deep.Wait, want.Deep.On, want.Deep.Ports = 2_000_000, time.Minute, true, []int{8443}
	want.Keys = []sampleKey{{ID: "a", Key: "k=v"}}
	want.Presets, want.Steps = map[string]string{"lite": "w:2"}, []time.Duration{time.Second, 2 * time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeEnvironRefuses(t *testing.T) {
	tests := []struct{ name, pair, want string }{
		{"an unknown variable", "GOLDCREST_DEEP_SISE=1", "GOLDCREST_DEEP_SISE is not a key; the nearest one is GOLDCREST_DEEP_SIZE"},
		{"a section", "GOLDCREST_DEEP={size: 1}", "GOLDCREST_DEEP is not a key"},
		{"a port that no service set", "GOLDCREST_PORT=8080", "GOLDCREST_PORT is not a key"},
		{"a wrong value", "GOLDCREST_DEEP_WAIT=soon", "GOLDCREST_DEEP_WAIT: deep.wait wants a duration"},
		{"a bare list", "GOLDCREST_DEEP_PORTS=80,443", "GOLDCREST_DEEP_PORTS: deep.ports wants a list"},
		{"an unknown key in a list", "GOLDCREST_KEYS=[{idd: a}]", "the nearest one is keys[].id"},
		{"an empty number", "GOLDCREST_DEEP_SIZE=", "GOLDCREST_DEEP_SIZE: the variable is empty"},
		{"broken YAML", "GOLDCREST_KEYS=[", "GOLDCREST_KEYS: yaml:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := sampleDefault()
			err := decodeEnviron([]string{tt.pair}, reflect.ValueOf(&s).Elem())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestSecretsAreMasked(t *testing.T) {
	s := sampleDefault()
	if err := decodeEnviron([]string{"GOLDCREST_PASSWORD=hunter2", "GOLDCREST_KEYS=[{id: a, key: opensesame}, {id: b}]"}, reflect.ValueOf(&s).Elem()); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := write(&out, reflect.ValueOf(&s).Elem()); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if strings.Contains(got, "hunter2") || strings.Contains(got, "opensesame") {
		t.Errorf("a secret is printed:\n%s", got)
	}
	if !strings.Contains(got, "password: '***'") || !strings.Contains(got, "- id: b\n    key: \"\"\n") {
		t.Errorf("a secret that is set shows as ***, one that is not as empty; got:\n%s", got)
	}
}
