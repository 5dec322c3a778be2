package prewarm

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// post posts a call with a token and waits until its job has ended.
func (d *door) post(t *testing.T, owner string, c unit.Call) ledger.Job {
	t.Helper()
	a, err := d.Accept(t.Context(), owner, "", [32]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	j, err := d.Job(t.Context(), a.Job.ID, time.Hour)
	if err != nil || !j.State.Final() || j.Token != owner {
		t.Fatalf("got %+v of %q, %v", j, j.Token, err)
	}
	return j
}

// listed returns the ids of a caller's jobs, from all pages.
func (d *door) listed(t *testing.T, who ledger.Caller) (ids []string) {
	t.Helper()
	cursor := ""
	for {
		page, next, err := d.Jobs(t.Context(), who, 1, cursor)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range page {
			ids = append(ids, j.ID)
		}
		if cursor = next; cursor == "" {
			return ids
		}
	}
}

var anna, bob, admin = ledger.Caller{Name: "anna"}, ledger.Caller{Name: "bob"},
	ledger.Caller{Name: "operator", All: true}

// This test uses no synctest bubble: the id of a job contains the day, and ids continue after those of other tests.
//
// Jobs are listed for their owner and for admins: completed ones, cancelled ones, and those with marks of an older
// version.
func TestJobsBelongToTheirToken(t *testing.T) {
	d := newDoor(t, nil)
	defer d.run(t)()
	a := d.post(t, "anna", oneCall("https://c.example/a.jpg"))
	b := d.post(t, "bob", oneCall("https://c.example/b.jpg"))
	none := d.post(t, "", oneCall("https://c.example/c.jpg"))
	later, err := d.Accept(t.Context(), "anna", "", [32]byte{}, oneCall("https://c.example/d.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := ledger.JobKey(b.ID)
	r, err := d.Service.deps.Ledger.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	r.Mark, _, _ = strings.Cut(r.Mark, " ")
	if err := d.Service.deps.Ledger.Write(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		who  ledger.Caller
		want []string
	}{
		{anna, []string{later.Job.ID, a.ID}}, {bob, []string{b.ID}}, {admin, []string{later.Job.ID, none.ID, b.ID, a.ID}}, {ledger.Caller{}, nil}, {ledger.Caller{Name: "eve"}, nil},
	} {
		if got := d.listed(t, x.who); !slices.Equal(got, x.want) {
			t.Errorf("%+v sees %v, want %v", x.who, got, x.want)
		}
		_, _, err := d.Results(t.Context(), a.ID, ledger.ResultFilter{For: x.who}, "", 10)
		if refused := fault.KindOf(err) == fault.NoSuchJob; refused == slices.Contains(x.want, a.ID) {
			t.Errorf("%+v asks for the results: %v", x.who, err)
		}
	}
}

// A caller finds the sources of its own jobs by unit and tag, and no others.
func TestSourcesBelongToTheirToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, nil)
		defer d.run(t)()
		c := oneCall("https://c.example/a.jpg")
		c.Tags = []string{"spring"}
		d.post(t, "anna", c)
		for who, want := range map[ledger.Caller]int{anna: 1, bob: 0, admin: 1, {}: 0} {
			refs, err := d.Sources(t.Context(), who, "", "spring")
			if err != nil || len(refs) != want {
				t.Errorf("%+v finds %v, %v", who, refs, err)
			}
		}
	})
}

// The feed shows a source to every owner whose job had it, also if it was known to be broken from another owner's job.
// Only those owners see its query.
func TestFeedAndQueriesBelongToTheirToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const source = "https://c.example/gone.jpg?token=hush"
		d := newDoor(t, nil)
		d.warm = func(ref variant.Ref, _ int) pipeline.Warmed { return refused(ref, fault.SourceNotFound) }
		defer d.run(t)()
		feed := func(who ledger.Caller) string {
			rows, err := d.Broken(t.Context(), who, time.Time{}, 10)
			if err != nil {
				t.Fatal(err)
			}
			var text []string
			for _, r := range rows {
				text = append(text, r.Source)
			}
			return strings.Join(text, " ")
		}
		j := d.post(t, "anna", oneCall(source))
		masked := ledger.MaskQuery(source)
		if a, b, all := feed(anna), feed(bob), feed(admin); a != source || b != "" || all != masked || strings.Contains(masked, "hush") {
			t.Errorf("the feed is %q for its owner, %q for another, %q for admin", a, b, all)
		}
		for who, want := range map[ledger.Caller]string{anna: source, admin: masked} {
			rows, _, err := d.Results(t.Context(), j.ID, ledger.ResultFilter{For: who}, "", 1)
			if err != nil || rows[0].Source != want {
				t.Errorf("%+v reads %+v, %v", who, rows, err)
			}
		}
		tries := len(d.tries)
		d.post(t, "bob", oneCall(source))
		if b := feed(bob); b != source || len(d.tries) != tries {
			t.Errorf("the feed is %q for the second owner, after %d more tries", b, len(d.tries)-tries)
		}
		if d.post(t, "", oneCall("https://c.example/other.jpg?token=hush")); feed(ledger.Caller{}) != "" || !strings.Contains(feed(admin), "other.jpg?token=hush") {
			t.Errorf("of a job without an owner, nobody sees %q and admin %q", feed(ledger.Caller{}), feed(admin))
		}
	})
}

// onlyThose are Rights to one host and one preset.
type onlyThose struct{ host, preset string }

func (o onlyThose) AllowsSource(source string) bool {
	return strings.HasPrefix(source, "https://"+o.host+"/")
}
func (o onlyThose) Hosts() reach.Hosts            { return reach.Hosts(o.host) }
func (o onlyThose) AllowsPreset(name string) bool { return name == o.preset }

// What a token may not request is not fetched, not made, and not signed. Its URLs are signed with its key.
func TestCallsAreHeldToTheirRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signedWith []string
		d := newDoor(t, func(_ *Config, deps *Deps) {
			sign := deps.Sign
			deps.Sign = func(key, source, options string, ttl, round time.Duration) (string, error) {
				signedWith = append(signedWith, key+" "+source)
				return sign(key, source, options, ttl, round)
			}
		})
		defer d.run(t)()
		c := oneCall("https://c.example/a.jpg")
		c.Variants, c.Key, c.Rights = []unit.VariantAsk{{Name: "lite"}}, "shop", onlyThose{"c.example", "lite"}
		c.Units[0].Images = append(c.Units[0].Images, unit.Image{Pointer: "/b", Source: "https://elsewhere.example/b.jpg"})
		a, err := d.Accept(t.Context(), "anna", "", [32]byte{}, c)
		if err != nil {
			t.Fatal(err)
		}
		images := units(a)[0].Images
		if images[1].State != ledger.Broken || images[1].Reason != fault.SourceNotAllowed || images[1].Variants[0].URL != "" || images[0].Variants[0].URL == "" {
			t.Errorf("got %+v", images)
		}
		if !slices.Equal(slices.Compact(signedWith), []string{"shop https://c.example/a.jpg"}) {
			t.Errorf("signed %v", signedWith)
		}
		if _, err := d.Job(t.Context(), a.Job.ID, time.Hour); err != nil || len(d.tries) != 1 {
			t.Errorf("tried %d sources, %v", len(d.tries), err)
		}
		for _, asks := range [][]unit.VariantAsk{{{Name: "w", Options: "w:9"}}, {{Name: "lite"}, {Name: "x", Options: "pr:lite/w:9"}}} {
			c.Variants = asks
			if _, err := d.Accept(t.Context(), "anna", "", [32]byte{}, c); fault.KindOf(err) != fault.SourceNotAllowed {
				t.Errorf("%v: %v", asks, err)
			}
		}
	})
}
