package image

import (
	"mime"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

func TestContentDisposition(t *testing.T) {
	for _, tc := range []struct {
		terms variant.Terms
		want  string
	}{
		{variant.Terms{}, ""},
		{variant.Terms{Filename: "red shoe"}, `inline; filename="red shoe.jpg"`},
		{variant.Terms{Filename: "shoe.jpg", Attachment: true}, `attachment; filename="shoe.jpg"`},
		{variant.Terms{Attachment: true}, `attachment; filename="cat.jpg"`},
		{variant.Terms{Filename: "Müller & Söhne"}, `inline; filename="M_ller & S_hne.jpg"; filename*=UTF-8''M%C3%BCller%20%26%20S%C3%B6hne.jpg`},
		{variant.Terms{Filename: "100%.a\"b"}, `inline; filename="100_.a_b.jpg"; filename*=UTF-8''100%25.a%22b.jpg`},
		{variant.Terms{Filename: "../../etc/passwd"}, `inline; filename="passwd.jpg"`},
		{variant.Terms{Filename: `C:\x\y`}, `inline; filename="y.jpg"`},
		{variant.Terms{Filename: "a\r\nSet-Cookie: b=c"}, `inline; filename="aSet-Cookie: b=c.jpg"`},
		{variant.Terms{Filename: "gpj\u202eexe\u2028"}, `inline; filename="gpjexe.jpg"`},
		{variant.Terms{Filename: "\xff..", Attachment: true}, `attachment; filename="cat.jpg"`},
	} {
		got := disposition(tc.terms, "cat", "image/jpeg")
		if got != tc.want {
			t.Errorf("%q: %q, want %q", tc.terms.Filename, got, tc.want)
		}
		if _, _, err := mime.ParseMediaType(got); got != "" && err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
}
