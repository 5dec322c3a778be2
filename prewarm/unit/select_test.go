package unit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// found lists a unit's images as "pointer source", "pointer !source" for bad ones, in order.
func found(u Unit) []string {
	var list []string
	for _, img := range u.Images {
		mark := " "
		if img.Bad == fault.BadSource {
			mark = " !"
		}
		list = append(list, img.Pointer+mark+img.Source)
	}
	return list
}

func oneUnit(t testing.TB, body string, selectors ...string) Unit {
	t.Helper()
	call, err := parseCall(strings.NewReader("["+body+",{}]"), "", "", nil, Rules{Select: selectors})
	if err != nil {
		t.Fatal(err)
	}
	return call.Units[0]
}

func TestSelectors(t *testing.T) {
	const unit = `{"url":"http://h/0","list":["http://h/1"," http://h/2#x",null,""],
		"images":[{"url":"http://h/3","kind":"a"},{"src":"http://h/4","url":null,"kind":"b"},{"href":"http://h/5","n":7},{"url":""},{"other":1}],
		"deep":{"a/b":{"~":"http://h/1"}},"bad":["data:x/y","/rel/x.jpg","two words/x","plain",7,["http://h/9"]],"dup":"no","dup":"http://h/6"}`
	tests := []struct {
		selectors []string
		skips     int
		want      []string
	}{
		{[]string{"$.url"}, 0, []string{"/url http://h/0"}},
		{[]string{"/url"}, 0, []string{"/url http://h/0"}},
		{[]string{"$.none", "/none/0", "/list/01", "/list/-", "/url/0"}, 0, nil},
		{[]string{"$.list"}, 2, []string{"/list/0 http://h/1", "/list/1 http://h/2"}},
		{[]string{"$.list[*]", "/list", "$.list[0]"}, 2, []string{"/list/0 http://h/1", "/list/1 http://h/2"}},
		{[]string{"/list/1"}, 0, []string{"/list/1 http://h/2"}},
		{[]string{"$.list[-3,0]"}, 0, []string{"/list/0 http://h/1", "/list/1 http://h/2"}},
		{[]string{"$.list[1::-1]"}, 0, []string{"/list/0 http://h/1", "/list/1 http://h/2"}},
		{[]string{"$.list[0:4:3]"}, 1, []string{"/list/0 http://h/1"}},
		{[]string{"$.images[*]"}, 1, []string{"/images/0/url http://h/3", "/images/1/src http://h/4", "/images/2/href http://h/5", "/images/4 !"}},
		{[]string{"/images"}, 1, []string{"/images/0/url http://h/3", "/images/1/src http://h/4", "/images/2/href http://h/5", "/images/4 !"}},
		{[]string{"$.images[*].url"}, 2, []string{"/images/0/url http://h/3"}},
		{[]string{"$..url"}, 2, []string{"/url http://h/0", "/images/0/url http://h/3"}},
		{[]string{"$..images..url", "$.url"}, 2, []string{"/url http://h/0", "/images/0/url http://h/3"}},
		{[]string{"/deep/a~1b/~0", "/list/0"}, 0, []string{"/list/0 http://h/1"}},
		{[]string{"/deep/a~1b/~0"}, 0, []string{"/deep/a~1b/~0 http://h/1"}},
		{[]string{"$.bad"}, 0, []string{"/bad/0 !", "/bad/1 !/rel/x.jpg", "/bad/2 !", "/bad/3 !", "/bad/4 !", "/bad/5 !"}},
		{[]string{"$.dup"}, 0, []string{"/dup http://h/6"}},
		{[]string{"$"}, 0, []string{"/url http://h/0"}},
		{[]string{"$.images[?@.kind == 'b']"}, 0, []string{"/images/1/src http://h/4"}},
		{[]string{"$.images[?@.n > 6, ?@.kind].href"}, 0, []string{"/images/2/href http://h/5"}},
		{[]string{"$.images[?match(@.kind, '[ab]')]..['src','url']"}, 1, []string{"/images/0/url http://h/3", "/images/1/src http://h/4"}},
		{[]string{"$.images[?!match(@.kind, 'a')]..['src','href']"}, 0, []string{"/images/1/src http://h/4", "/images/2/href http://h/5"}},
		{[]string{"$.images[?search( @['kind'] , \"b\") || @.n]..['src','href']"}, 0, []string{"/images/1/src http://h/4", "/images/2/href http://h/5"}},
		{[]string{"$.images[?count(@.*) == 3 && !@.n]"}, 0, []string{"/images/1/src http://h/4"}},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.selectors, " "), func(t *testing.T) {
			u := oneUnit(t, unit, tt.selectors...)
			if got := found(u); u.Err != nil || !reflect.DeepEqual(got, tt.want) || u.Skips != tt.skips {
				t.Errorf("%d skips, %+v, %q\nwant %d, %q", u.Skips, u.Err, got, tt.skips, tt.want)
			}
			for _, img := range u.Images {
				if img.Auto {
					t.Errorf("%s was selected, not detected", img.Pointer)
				}
			}
		})
	}
}

func TestUnusableSelectors(t *testing.T) {
	tests := []struct{ selector, want string }{
		{"", "begins with"}, {"images", "begins with"}, {"$.", "no valid JSONPath"}, {"$[", "no valid JSONPath"}, {"$.a b", "no valid JSONPath"},
		{"/a~", "JSON Pointer"}, {"/~2", "JSON Pointer"}, {"$" + strings.Repeat(".a", 300), "longer"}, {"$" + strings.Repeat("[*]", 33), "too many steps"},
		{"$[" + strings.Repeat("0,", 40) + "0]", "too many steps"}, {"$[?@..a]", "in a filter"}, {"$[?@[?@.a]]", "a filter in a filter"}, {"$[?@[0,1]]", "a list"},
		{"$[?$[*]]", "a wildcard"}, {"$[?match(@.a, @.b)]", "in quotes"}, {"$[?match(value(@.*), 'a')]", "in quotes"}, {"$[?match('a', 'a')]", "in quotes"}, {`$[?!search $.A,"")]`, "in quotes"}, {"$[?!match|@.a, 'a')]", "in quotes"},
		{"$[?search(@.a, 'a{1}a{1}a{1}a{1}a{1}')]", "repetitions"},
		{"$[?search(@.a, '(a{2}b){3}')]", "in another"}, {`$[?match(@["x"], "(?:(a{1,9})*c){2}")]`, "in another"},
		{"$[?search(@.a, 'a{900}') || search(@.b, '[ab]{900}c{900}')]", "too large"},
	}
	for _, tt := range tests {
		if _, err := ParseSelector(tt.selector); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.selector, err, tt.want)
		}
	}
	for _, good := range []string{"$", "$..*", "/", "/a~0~1", "$[?@.a]..b", "$[?@.a, ?@.b]", "$[?@.a == $.b]", `$["..", "a,b"]`, "$[?search(@, 'x{2}') && @.*]", `$['match(', "search(@"]`, `$[?match(@["a),'"], 'b\')')]`} {
		if _, err := ParseSelector(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// A unit's own selectors override the call's, and those override the configured ones. A bad selector is an error of its
// unit only.
func TestSelectorsOfUnits(t *testing.T) {
	body := `{"select":["$.b"],"data_units":[{"data":{"a":"http://h/a","b":"http://h/b"},"select":["$.a"]},{"data":{"a":"http://h/a","b":"http://h/b"}},
		{"data":{"a":"http://h/a"},"select":"$.("},{"data":{"a":"http://h/a"},"select":[7]},{"data":{"a":"http://h/a"},"variants":[{}]}]}`
	call, err := parseCall(strings.NewReader(body), "", "", nil, Rules{Select: []string{"$.c"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"http://h/a", "http://h/b", "!/select", "!/select", "!/variants"} {
		u := call.Units[i]
		if pointer, bad := strings.CutPrefix(want, "!"); bad {
			if u.Err == nil || u.Err.Pointer != pointer || len(u.Images) != 0 {
				t.Errorf("unit %d: %+v %v", i, u.Err, found(u))
			}
		} else if u.Err != nil || !reflect.DeepEqual(sources(u), []string{want}) {
			t.Errorf("unit %d: %+v %v", i, u.Err, found(u))
		}
	}
	if call.Units[2].Err.Code != fault.BadSelector || call.Units[4].Err.Code != fault.BadUnit {
		t.Errorf("codes %v %v", call.Units[2].Err, call.Units[4].Err)
	}
}

func TestAutoDetection(t *testing.T) {
	escaped := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	tests := []struct{ name, unit, want string }{
		{"an image extension", `{"x":"http://h/a.JPG?w=1#f"}`, "/x http://h/a.JPG?w=1"},
		{"no extension, no key", `{"x":"http://h/a","link":"http://h/page.html"}`, ""},
		{"an extension in the query only", `{"x":"http://h/a?f=b.jpg"}`, ""},
		{"an extension of a directory", `{"x":"http://h/a.jpg/b"}`, ""},
		{"a host with an extension", `{"x":"http://a.jpg","y":"http://a.png/"}`, ""},
		{"a key", `{"photo_url":"http://h/a"}`, "/photo_url http://h/a"},
		{"an enclosing key", `{"images":{"main":[["http://h/a"]]}}`, "/images/main/0/0 http://h/a"},
		{"an unlike key", `{"hourly_rate":"http://h/a","imperial":"http://h/b"}`, ""},
		{"blanks around", `{"x":" \t http://h/a.jpg \n"}`, "/x http://h/a.jpg"},
		{"capitals", `{"x":"HTTPS://H/a.jpg"}`, "/x HTTPS://H/a.jpg"},
		{"escaped slashes", `{"x":"http:\/\/h\/a.jpg"}`, "/x http://h/a.jpg"},
		{"a blank in the name", `{"x":"http://h/a b.jpg"}`, "/x http://h/a%20b.jpg"},
		{"letters of the world", `{"x":"http://h/ü.jpg"}`, "/x http://h/%C3%BC.jpg"},
		{"a text with a URL", `{"image":"see http://h/a.jpg","url":"http://h/a.jpg and http://h/b.jpg","src":"http://h/a is mine"}`, ""},
		{"HTML", `{"image":"http://h/a.jpg\"><b>","photo":"<img src=http://h/a.jpg>"}`, ""},
		{"other schemes", `{"image":"data:image/png;base64,AA","url":"file:///a.jpg","src":"mailto:a@b.jpg","photo":"//h/a.jpg"}`, ""},
		{"no string", `{"image":7,"url":null,"src":true,"photo":{}}`, ""},
		{"a URL without a host", `{"image":"http://"}`, "/image !http://"},
		{"a key with slash and tilde", `{"a/~":"http://h/a.jpg"}`, "/a~1~0 http://h/a.jpg"},
		{"an empty key", `{"":"http://h/a.jpg"}`, "/ http://h/a.jpg"},
		{"a key twice", `{"x":"http://h/a.jpg","x":"http://h/b.jpg"}`, "/x http://h/b.jpg"},
		{"the same twice", `{"x":"http://h/a.jpg","y":" http://h/a.jpg#x"}`, "/x http://h/a.jpg"},
		{"JSON in a string", `{"x":` + escaped(`{"image":"http://h/a"}`) + `}`, "/x http://h/a"},
		{"in a string in a string", `{"x":` + escaped(` [`+escaped(`["http://h/a.jpg"]`)+`] `) + `}`, "/x http://h/a.jpg"},
		{"under a key outside", `{"photo":` + escaped(`["http://h/a"]`) + `}`, "/photo http://h/a"},
		{"broken JSON in a string", `{"x":"[\"http://h/a.jpg\" }","y":"{http://h/a.jpg}"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := oneUnit(t, tt.unit)
			if got := strings.Join(found(u), "|"); u.Err != nil || got != tt.want {
				t.Errorf("found %q, %+v; want %q", got, u.Err, tt.want)
			}
			for _, img := range u.Images {
				if !img.Auto {
					t.Errorf("%s was detected, not selected", img.Pointer)
				}
			}
		})
	}
}

func TestKeysLikeImages(t *testing.T) {
	for key, want := range map[string]bool{
		"image": true, "image_1": true, "imageUrl": true, "IMG": true, "photos": true, "profilePicture": true, "thumbnail": true, "avatar_url": true,
		"url2": true, "dataSrc": true, "srcset": true, "PRODUCTIMG": true, "bildURL": true, "urls": true, "картинка_img": true,
		"": false, "id": false, "hourly": false, "title": false, "im_age": false, "link": false, "href": false,
	} {
		if got := hintOf(key) != noHint; got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

// The cost of selectors is bounded for a call, not for each unit.
func TestSelectorsLookAtBoundedValues(t *testing.T) {
	unit := `{"a":[` + strings.Repeat(`{"k":"x"},`, 20_000) + `0]}`
	body := "[" + strings.Repeat(unit+",", 8) + unit + "]"
	call, err := parseCall(strings.NewReader(body), "", "", nil, Rules{Select: []string{"$.a[?@.k == 'y'].k", "$.a[?search(@.k, 'y')].k"}})
	if err != nil {
		t.Fatal(err)
	}
	last := call.Units[8].Err
	if call.Units[0].Err != nil || last == nil || last.Code != fault.BadSelector || last.Detail != errTooManySteps.Error() {
		t.Errorf("errors %+v, %+v", call.Units[0].Err, last)
	}
	u := oneUnit(t, fmt.Sprintf(`{"a":[{"k":%q}]}`, strings.Repeat("x", maxRegexpText)), "$.a[?search(@.k, 'y')].k")
	if u.Err == nil || u.Err.Detail != errTextTooLong.Error() {
		t.Errorf("a regular expression on a long text: %+v", u.Err)
	}
}
