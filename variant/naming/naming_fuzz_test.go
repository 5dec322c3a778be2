package naming

import (
	"strings"
	"testing"
)

// FuzzCanonical holds that what is stripped from a link neither stays nor counts, and that nothing else is lost.
func FuzzCanonical(f *testing.F) {
	for _, link := range strings.Fields(
		"https://h/a?X-Amz-Date=1&w=2 s3://b/k?utm=1&utm=2&a http://h/?&&x=%26utm=3 http://h/a?utm") {
		f.Add(link, "7")
	}
	strip := []string{"X-Amz-*", "utm"}
	f.Fuzz(func(t *testing.T, link, value string) {
		source, wrong := Address(link)
		if wrong != "" {
			return
		}
		once := Canonical(source, strip)
		if again := Canonical(once, strip); again != once {
			t.Fatalf("%q becomes %q, and that %q", source, once, again)
		}
		_, query, _ := strings.Cut(once, "?")
		for parameter := range strings.SplitSeq(query, "&") {
			if name, _, _ := strings.Cut(parameter, "="); name == "utm" || strings.HasPrefix(name, "X-Amz-") {
				t.Fatalf("%q keeps %q", once, parameter)
			}
		}
		if Canonical(source, nil) != Canonical(Canonical(source, nil), nil) {
			t.Fatalf("%q is not canonical without patterns", Canonical(source, nil))
		}
		if strings.ContainsAny(value, "&#? ") || strings.ContainsAny(source, "#") || !strings.Contains(source, "?") {
			return
		}
		if signed := Canonical(source+"&X-Amz-Signature="+value, strip); signed != once {
			t.Fatalf("%q signed with %q becomes %q, want %q", source, value, signed, once)
		}
	})
}

// FuzzNames holds that a name resolves to something that stays the same when it is resolved again, and that a source
// with a scheme keeps it unless a replacement takes it.
func FuzzNames(f *testing.F) {
	for _, name := range strings.Fields("shop:/a.jpg a/b.jpg //h/a https://old.example/a http://h/a shop:/shop:/a :/") {
		f.Add(name)
	}
	n, err := New(Config{
		Aliases: map[string]string{"shop": "https://cdn.example/shop"}, BaseURL: "https://base.example/",
		Replace: []Replacement{{From: "https://old.example/*", To: "https://new.example/${1}"}},
	}, "s3")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		source, err := n.Source(name)
		if err != nil {
			return
		}
		if again, err := n.Source(source); err != nil || again != source {
			t.Fatalf("%q is %q, and that %q, %v", name, source, again, err)
		}
		if strings.HasPrefix(name, "http://") && source != name {
			t.Fatalf("%q is %q", name, source)
		}
		if address, wrong := Address(source); wrong == "" {
			if twice, wrong := Address(address); wrong != "" || twice != address {
				t.Fatalf("%q is fetched from %q, and that from %q %s", source, address, twice, wrong)
			}
		}
	})
}
