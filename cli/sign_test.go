package cli

import (
	"bytes"
	"strings"
	"testing"
)

// grammars is the environment of a server with keys for each grammar of URLs.
func grammars() []string {
	return []string{
		"GOLDCREST_SIGNING_KEYS=[{key: " + strings.Repeat("ab", 32) + "}]", "GOLDCREST_SIGNING_THUMBOR_KEY=a-secret-of-20-chars",
		"GOLDCREST_SERVER_BASE_URL=http://img.example:8080", "GOLDCREST_SERVER_PATH_PREFIX=/i",
		"GOLDCREST_SIGNING_ENCRYPTION_KEY=" + strings.Repeat("cd", 16),
		"GOLDCREST_PRESETS={default: \"w:10\"}",
	}
}

// inProcess runs a command in this process.
func inProcess(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = dispatch(t.Context(), env{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, environ: environ}, args)
	return code, out.String(), errs.String()
}

// What sign prints in each grammar, explain finds valid, and as it was meant.
func TestSignAndExplainInEachGrammar(t *testing.T) {
	const source = "https://c.example/a b.jpg?token=x"
	for _, tt := range []struct {
		args  []string
		begin string
		says  []string
	}{
		{[]string{source}, "http://img.example:8080/i/", []string{"format     avif (negotiated)"}},
		{[]string{"-info", source}, "http://img.example:8080/i/info/", []string{"format     json (what the original is)"}},
		{[]string{"-info", "-options", "s:1/cb:v2", "-encrypt", "-ttl", "24h", source}, "http://img.example:8080/i/info/",
			[]string{"expires    2", "/full.json"}},
		{[]string{"-thumbor", "-options", "300x200/smart/filters:quality(80)", source}, "http://img.example:8080/i/thumbor/",
			[]string{"format     avif (negotiated)", "/rs_fill_300_200,el_1,g_sm,q_80,"}},
		{[]string{"-thumbor", source}, "http://img.example:8080/i/thumbor/", []string{"/any_awpjg.avif"}},
	} {
		code, out, errs := inProcess(t, grammars(), append([]string{"sign"}, tt.args...)...)
		if code != exitOK || !strings.HasPrefix(out, tt.begin) {
			t.Errorf("%q: exit %d: %s%s", tt.args, code, out, errs)
			continue
		}
		signed := strings.TrimSpace(out)
		for _, target := range []string{signed, strings.TrimPrefix(signed, "http://img.example:8080")} {
			code, out, errs = inProcess(t, grammars(), "explain", target)
			for _, want := range append(tt.says, "signature  valid", "source     https://c.example/a%20b.jpg?...") {
				if code != exitOK || !strings.Contains(out, want) {
					t.Errorf("%s: exit %d, no %q in\n%s%s", target, code, want, out, errs)
				}
			}
		}
	}
}

// Calls that make no sense in a grammar are refused before anything is signed, and explain reads what is not signed.
func TestWrongCallsInEachGrammar(t *testing.T) {
	const source = "https://c.example/a.jpg"
	for _, tt := range []programCall{
		{[]string{"sign", "-thumbor", "-info", source}, exitUsage, []string{"-thumbor cannot be combined"}},
		{[]string{"sign", "-thumbor", "-ttl", "1h", source}, exitUsage, []string{"-thumbor cannot be combined"}},
		{[]string{"sign", "-info", "-preset", "default", source}, exitUsage, []string{"take no presets"}},
		{[]string{"sign", "-info", "-options", "w:9", source}, exitFailed, []string{`option "w" is not supported by /info`}},
		{[]string{"sign", "-thumbor", "-options", "filters:grayscale()", source}, exitFailed,
			[]string{`"grayscale()" of thumbor`}},
		{[]string{"sign", "-thumbor", "-options", "smart/300x200", source}, exitFailed, []string{"reads another image"}},
		{[]string{"explain", "/i/info/wrong/plain/" + source}, exitFailed, []string{"signature  not valid", "format     json"}},
		{[]string{"explain", "/i/thumbor/wrong/300x200/" + source}, exitFailed,
			[]string{"signature  not valid", "bad_signature", "/rs_fill_300_200,el_1,"}},
	} {
		code, out, errs := inProcess(t, grammars(), tt.args...)
		for _, want := range tt.says {
			if code != tt.code || !strings.Contains(out+errs, want) {
				t.Errorf("%q: exit %d, no %q in\n%s%s", tt.args, code, want, out, errs)
			}
		}
	}
	none := []string{grammars()[0]}
	for _, args := range [][]string{{"explain", "/thumbor/x/300x200/" + source}, {"sign", "-thumbor", source}} {
		code, out, errs := inProcess(t, none, args...)
		if code != exitFailed || !strings.Contains(out+errs, "signing.thumbor has no key") {
			t.Errorf("%q: exit %d: %s%s", args, code, out, errs)
		}
	}
}

// sign prints no URL that the server would refuse, and none with a link that the server keeps out of URLs.
func TestSignRefusesWhatTheServerRefuses(t *testing.T) {
	environ := []string{
		"GOLDCREST_SIGNING_KEYS=[{id: a, key: " + strings.Repeat("ab", 32) + ", sources: [a.example], presets: [small]}, " +
			"{id: b, key: " + strings.Repeat("cd", 32) + ", sources: [\"s3://b\"]}]",
		"GOLDCREST_PRESETS={small: \"w:10\"}", "GOLDCREST_ORIGIN_CANONICAL=[X-Amz-*]",
		"GOLDCREST_LINKS_KEYS=[{key: a-key-of-links-0123456789abcdef-0}]",
	}
	id := "ref:" + strings.Repeat("0", 32)
	for _, tt := range []struct {
		args    []string
		refused string
	}{
		{[]string{"-preset", "small", "https://a.example/a.jpg"}, ""},
		{[]string{"-options", "w:9", "https://a.example/a.jpg"}, "may not be used for these options"},
		{[]string{"-preset", "small", "https://b.example/a.jpg"}, "may not be used for this source"},
		{[]string{"-preset", "small", "s3://b/a.jpg"}, "-key ID signs with another key"},
		{[]string{"-key", "b", "s3://b/a.jpg"}, ""},
		{[]string{"-key", "b", "-info", "s3://b/a.jpg"}, ""},
		{[]string{"-key", "c", "s3://b/a.jpg"}, "those of the configuration are: a, b"},
		{[]string{"-key", "b", "-thumbor", "s3://b/a.jpg"}, "-thumbor cannot be combined"},
		{[]string{"-preset", "small", id}, ""},
		{[]string{"-preset", "small", "https://a.example/a.jpg?X-Amz-Signature=1"}, "POST /v1/sign"},
	} {
		code, out, errs := inProcess(t, environ, append([]string{"sign"}, tt.args...)...)
		fine := tt.refused == ""
		if (code == exitOK) != fine || (out != "") != fine || !strings.Contains(errs, tt.refused) {
			t.Errorf("%q: exit %d: %s%s", tt.args, code, out, errs)
		}
	}
	_, signed, _ := inProcess(t, environ, "sign", "-preset", "small", id)
	if code, _, errs := inProcess(t, environ, "explain", strings.TrimSpace(signed)); code != exitOK {
		t.Errorf("an id: exit %d: %s", code, errs)
	}
	code, _, errs := inProcess(t, environ, "explain", "-run", strings.TrimSpace(signed))
	if code != exitFailed || !strings.Contains(errs, "only a running server has the link of an id") {
		t.Errorf("an id with -run: exit %d: %s", code, errs)
	}
}

// explain says that a key may not sign a source or its options, and still how the URL is read.
func TestExplainTellsWhatItsKeyMayNotSign(t *testing.T) {
	keys := func(limits string) []string {
		return []string{
			"GOLDCREST_SIGNING_KEYS=[{key: " + strings.Repeat("ab", 32) + limits + "}]",
			"GOLDCREST_PRESETS={small: \"w:10\", large: \"w:999\"}",
		}
	}
	bound := keys(", sources: [c.example], presets: [small]")
	for _, tt := range []struct{ preset, source, refused string }{
		{"small", "https://c.example/a.jpg", ""},
		{"small", "https://other.example/a.jpg", "may not be used for this source"},
		{"large", "https://c.example/a.jpg", "may not be used for these options"},
	} {
		code, signed, errs := inProcess(t, keys(""), "sign", "-preset", tt.preset, tt.source)
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
		code, out, errs := inProcess(t, bound, "explain", strings.TrimSpace(signed))
		if !strings.Contains(out, "signature  valid\nsource     "+tt.source) {
			t.Errorf("%s of %s: got %s%s", tt.preset, tt.source, out, errs)
		}
		want := exitOK
		if tt.refused != "" {
			want = exitFailed
		}
		if code != want || !strings.Contains(errs, tt.refused) {
			t.Errorf("%s of %s: exit %d, want %d: %s", tt.preset, tt.source, code, want, errs)
		}
	}
}
