package house

import (
	"strings"
	"testing"
)

// A rule that cannot fail protects nothing: each one is broken here on purpose.
func TestViolationsAreFound(t *testing.T) {
	in := func(name string) string { return module + "/" + name }
	cgo := listed{ImportPath: "github.com/h2non/bimg", CgoFiles: []string{"vips.go"}}
	tests := []struct {
		name string
		pkgs []listed
		want string // part of the only violation; "" = none
	}{
		{"allowed imports", []listed{{ImportPath: in("pipeline"), Imports: []string{in("cache"), in("variant"), "context"}}}, ""},
		{"app may import all", []listed{{ImportPath: in("app"), Imports: []string{in("server"), in("transform/codec")}}}, ""},
		{"main that knows more than cli", []listed{{ImportPath: module, Imports: []string{in("cli"), in("app")}}}, `"" must not import "app"`},
		{"other modules are not judged", []listed{{ImportPath: "example.org/x", Imports: []string{"C"}}}, ""},
		{"a leaf that reaches up", []listed{{ImportPath: in("cache"), Imports: []string{in("fault")}}}, `"cache" must not import "fault": a leaf`},
		{"a store that knows another", []listed{{ImportPath: in("cache/s3store"), Imports: []string{in("cache/dirstore")}}}, `must not import "cache/dirstore"`},
		{"a package without a rule", []listed{{ImportPath: in("utils")}}, `"utils" has no rule`},
		{"echo below the server", []listed{{ImportPath: in("prewarm"), Imports: []string{"github.com/labstack/echo/v4"}}}, "HTTP types below the server"},
		{"HTTP in the heart", []listed{{ImportPath: in("pipeline"), Imports: []string{"net/http"}}}, "only doors"},
		{"cgo outside the codec", []listed{{ImportPath: in("transform"), Imports: []string{"C"}}}, "hostile files"},
		{"a similar name is not fenced", []listed{{ImportPath: in("pipeline"), Imports: []string{"net/http/httptrace"}}}, ""},
		{"I/O in a pure package", []listed{{ImportPath: in("variant"), Imports: []string{"os"}}}, "it is pure"},
		{"cgo through a dependency", []listed{cgo, {ImportPath: in("server"), Deps: []string{cgo.ImportPath}}}, `"server" must not depend on cgo`},
		{"cgo through a test", []listed{cgo, {ImportPath: in("pipeline.test"), Deps: []string{cgo.ImportPath}}}, `"pipeline" (its tests) must not depend on cgo`},
		{"the standard library's own cgo", []listed{{ImportPath: "net", Standard: true, CgoFiles: []string{"cgo.go"}}, {ImportPath: in("server"), Deps: []string{"net"}}}, ""},
		{"a package rebuilt for a test", []listed{{ImportPath: in("cache") + " [" + in("cache.test") + "]", Imports: []string{"testing", in("cache/cachetest")}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := violations(tt.pkgs)
			if tt.want == "" {
				if len(got) != 0 {
					t.Errorf("violations = %q, want none", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("violations = %q, want one with %q", got, tt.want)
			}
		})
	}
}

// Every rule says why, so that a reader can judge it before breaking it.
func TestRulesSayWhy(t *testing.T) {
	for name, l := range layers {
		if l.why == "" {
			t.Errorf("the rule of package %q gives no reason", name)
		}
		for _, other := range l.may {
			if _, ok := layers[other]; !ok && other != "*" {
				t.Errorf("the rule of package %q names %q, which has no rule itself", name, other)
			}
		}
	}
	for _, f := range fences {
		if f.why == "" {
			t.Errorf("the fence around %s gives no reason", f.path)
		}
		for _, name := range f.only {
			if _, ok := layers[name]; !ok {
				t.Errorf("the fence around %s names %q, which has no rule", f.path, name)
			}
		}
	}
}
