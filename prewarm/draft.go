package prewarm

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// draft is a call cut into tasks. The same call under the same configuration gives the same draft.
type draft struct {
	call   unit.Call
	job    *jobRecord
	tasks  []*task
	works  []*drafted
	images [][]*drafted       // by unit and image
	bad    map[int]unit.Error // by unit: what is wrong with its variants
	links  map[string]string  // by id: those that expire
}

// drafted is one image of the draft, in all its places.
type drafted struct {
	plan *plan
	work *work
	size *int // of its task, in bytes of text
}

// drafting is the state of making a draft.
type drafting struct {
	*draft
	*planner
	parser *variant.Parser
	now    time.Time
	drawn  map[string]*drafted // by plan and source
	open   map[int]*task       // by plan: the one that still has room
	sizes  map[*task]*int
}

// draft cuts a call into tasks: equal images come together, and no task is large. A call that asks for too much is
// refused before.
func (s *Service) draft(call unit.Call) (*draft, error) {
	p := s.newPlanner(call.Variants)
	p.rights = call.Rights
	if _, err := p.plan(nil); err != nil {
		return nil, err
	}
	if _, err := p.weigh(call); err != nil {
		return nil, err
	}
	d := &drafting{
		draft:   &draft{call: call, bad: map[int]unit.Error{}, links: map[string]string{}},
		planner: p, parser: s.deps.Parser(), now: s.deps.Now().UTC(),
		drawn: map[string]*drafted{}, open: map[int]*task{}, sizes: map[*task]*int{},
	}
	d.job = &jobRecord{
		Job: Job{
			Tags: call.Tags, Priority: cmp.Or(call.Priority, LaneNormal), Deadline: call.Deadline, Callback: call.Callback, Request: call.Request,
			Counts: Counts{DataUnits: len(call.Units)},
		},
		Hook: call.Callback, Lane: LaneNormal,
	}
	if call.Rights != nil {
		d.job.Within = call.Rights.Hosts()
	}
	if call.Again {
		d.job.Round = 1 // As a job's Retry: whoever asks again knows more than the ledger.
	}
	if p := d.job.Priority; p == LaneHigh || p == LaneLow {
		d.job.Lane = p
	}
	d.images = make([][]*drafted, len(call.Units))
	for i, u := range call.Units {
		if u.Err == nil {
			d.unit(i, u)
		}
	}
	d.job.Plans, d.job.Tasks = p.plans, len(d.tasks)
	for _, t := range d.tasks {
		d.job.Counts.Variants += t.tally().Variants
	}
	return d.draft, nil
}

// unit drafts the images of one unit.
func (d *drafting) unit(at int, u unit.Unit) {
	p, err := d.plan(u.Variants)
	if err != nil {
		f := fault.Of(err)
		d.bad[at] = unit.Error{Code: f.Kind, Detail: f.Public}
		return
	}
	share := d.call.Share(u)
	if share > 0 {
		if _, _, err := d.parser.ParseOptions(d.plans[p].optionsWithin(0, share)); err != nil {
			d.bad[at] = unit.Error{Code: fault.BadOption, Detail: "the unit has a budget, and URLs may not have max_bytes: " + fault.Of(err).Public}
			return
		}
	}
	for _, img := range u.Images {
		d.job.Counts.Images++
		d.images[at] = append(d.images[at], d.image(u, img, p, share))
	}
}

// image drafts one image: as a further place of the same one, or anew.
func (d *drafting) image(u unit.Unit, img unit.Image, planned, share int) *drafted {
	p := d.plans[planned]
	here := spot{Unit: u.Index, ID: u.ID, Pointer: img.Pointer, Auto: img.Auto, Sure: img.Sure}
	w := &work{Spots: []spot{here}, Share: share, Verdicts: make([]*outcome, len(p.Targets))}
	for i := range w.Verdicts {
		w.Verdicts[i] = &outcome{State: Pending}
	}
	bad := img.Bad
	if bad == "" {
		ref, err := d.parser.Ref(img.Source, p.specs[0])
		if r := d.call.Rights; err == nil && r != nil && !r.AllowsSource(ref.Source) {
			err = fault.New(fault.SourceNotAllowed, "prewarm.draft", "this token may not ask for the source", nil)
		}
		if err == nil {
			ref, err = d.conceal(ref, w)
		}
		if bad = fault.KindOf(err); err == nil {
			w.Source, w.Hash = ref.Source, ref.SourceHash()
		}
	}
	size := len(here.ID) + len(here.Pointer) + 64
	if bad != "" {
		// What is no URL is not written down: it may be any text of the unit.
		w.Share = 0
		w.close(Broken, bad, d.now)
		return d.place(planned, w, size)
	}
	name := fmt.Sprintf("%d %d %s", planned, share, w.Source)
	if x := d.drawn[name]; x != nil && len(x.work.Spots) < taskSpots && *x.size+size < 2*taskBytes {
		x.work.Spots = append(x.work.Spots, here)
		*x.size += size
		return x
	}
	x := d.place(planned, w, size+len(w.Source)+len(w.Verdicts)*160)
	d.drawn[name] = x
	return x
}

// conceal puts an opaque source in the place of a link that expires.
func (d *drafting) conceal(ref variant.Ref, w *work) (variant.Ref, error) {
	source, shown := d.parser.Opaque(ref.Source)
	if d.s.deps.Keep == nil || source == "" {
		return ref, nil
	}
	id, _ := variant.OpaqueID(source)
	d.links[id], w.Shown = ref.Source, shown
	return d.parser.Ref(source, ref.Spec)
}

// place puts an image into a task that has room.
func (d *drafting) place(planned int, w *work, size int) *drafted {
	t := d.open[planned]
	if t == nil || len(t.Works) == taskImages || *d.sizes[t]+size > taskBytes {
		t = &task{Plan: planned}
		d.open[planned], d.sizes[t] = t, new(int)
		d.tasks = append(d.tasks, t)
	}
	t.Works = append(t.Works, w)
	*d.sizes[t] += size
	x := &drafted{plan: d.plans[planned], work: w, size: d.sizes[t]}
	d.works = append(d.works, x)
	return x
}

// overlay puts the verdicts of the ledger into a draft of the same call.
func (s *Service) overlay(ctx context.Context, d *draft, job string) error {
	var bad error
	err := s.deps.Ledger.List(ctx, Scan{Prefix: "task." + job, Bodies: true}, func(r Record) bool {
		_, n, ok := parseTaskKey(r.Key)
		t, err := readTask(r)
		if err != nil {
			bad = err
			return false
		}
		if !ok || n >= len(d.tasks) || len(d.tasks[n].Works) != len(t.Works) {
			return true // The configuration has changed since; what does not fit stays pending.
		}
		for i, w := range d.tasks[n].Works {
			if o := t.Works[i]; o.Source == w.Source && len(o.Verdicts) == len(w.Verdicts) {
				w.Verdicts, w.From = o.Verdicts, o.From
			}
		}
		return true
	})
	if err == nil {
		err = bad
	}
	return err
}

// store notes a variant that is stored.
func (w *work) store(target int, m pipeline.Warmed, s State, now time.Time) {
	f := variant.DecodeFacts(m.Meta.Attrs)
	o := &outcome{
		State: s, Bytes: m.Meta.Size, Width: f.Width, Height: f.Height, Blur: f.Placeholder, At: now, ours: true,
		Score: f.Choice.Score, // 0 where nobody measured it
	}
	if name, ok := strings.CutPrefix(m.Meta.ContentType, "image/"); ok {
		o.Format, _ = variant.ParseFormat(name)
	}
	w.Verdicts[target] = o
	w.From = max(w.From, f.SourceBytes)
}
