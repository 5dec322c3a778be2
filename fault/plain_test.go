package fault

import "testing"

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "du_1 at /photo é 写真 👩‍🔧": "du_1 at /photo é 写真 👩‍🔧",
		"a\x1b]0;x\a": `a\u001b]0;x\u0007`, "one\nbroken: two": `one\u000abroken: two`,
		"a\u202egnp": `a\u202egnp`, "c\u009b2J": `c\u009b2J`, "l\x9b2J": "l\uFFFD2J",
		"\u2028\u2066\x7f\t": `\u2028\u2066\u007f\u0009`,
	} {
		if got := Plain(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
