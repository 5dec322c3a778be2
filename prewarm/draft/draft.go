// Package draft cuts a call into plans, tasks and images. It does no I/O: the same call under the same rules gives the
// same draft.
package draft

import (
	"cmp"
	"fmt"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// Rules determine how calls are drafted. All must be set.
type Rules struct {
	// Presets are used if a call requests no variants, and Formats if a variant leaves its format open.
	Presets, Formats []string
	CallVariants     int  // variants that one call may request
	Links            bool // links that expire are stored, under an opaque source
	// Parser and Negotiation return the current rules.
	Parser      func() *variant.Parser
	Negotiation func() variant.Negotiation
	Now         func() time.Time
}

// Draft is a call cut into tasks. The same call under the same configuration gives the same draft.
type Draft struct {
	Call   unit.Call
	Job    *ledger.JobRecord
	Tasks  []*ledger.Task
	Works  []*Drafted
	Images [][]*Drafted       // by unit and image
	Bad    map[int]unit.Error // by unit: the error in its variants
	Links  map[string]string  // by id: the links that expire
}

// Drafted is one image of the draft, with all its places.
type Drafted struct {
	Plan *ledger.Plan
	Work *ledger.Image
	size *int // of its task, in bytes of text
}

// drafting is the state while a draft is made.
type drafting struct {
	*Draft
	*planner
	parser *variant.Parser
	now    time.Time
	drawn  map[string]*Drafted  // by plan and source
	open   map[int]*ledger.Task // by plan: the task that still has room
	sizes  map[*ledger.Task]*int
}

// Draft cuts a call into tasks. Equal images are combined, and the size of tasks is bounded. A call that requests too
// much is refused first.
func (r *Rules) Draft(call unit.Call) (*Draft, error) {
	p := r.NewPlanner(call.Variants)
	p.rights = call.Rights
	if _, err := p.Plan(nil); err != nil {
		return nil, err
	}
	if _, err := p.weigh(call); err != nil {
		return nil, err
	}
	d := &drafting{
		Draft:   &Draft{Call: call, Bad: map[int]unit.Error{}, Links: map[string]string{}},
		planner: p, parser: r.Parser(), now: r.Now().UTC(),
		drawn: map[string]*Drafted{}, open: map[int]*ledger.Task{}, sizes: map[*ledger.Task]*int{},
	}
	d.Job = &ledger.JobRecord{
		Job: ledger.Job{
			Tags: call.Tags, Priority: cmp.Or(call.Priority, ledger.LaneNormal), Deadline: call.Deadline, Callback: call.Callback, Request: call.Request,
			Counts: ledger.Counts{DataUnits: len(call.Units)},
		},
		Hook: call.Callback, Lane: ledger.LaneNormal,
	}
	if call.Rights != nil {
		d.Job.Within = call.Rights.Hosts()
	}
	if call.Again {
		d.Job.Round = 1 // like Retry of a job: the caller knows more than the ledger
	}
	if p := d.Job.Priority; p == ledger.LaneHigh || p == ledger.LaneLow {
		d.Job.Lane = p
	}
	d.Images = make([][]*Drafted, len(call.Units))
	for i, u := range call.Units {
		if u.Err == nil {
			d.unit(i, u)
		}
	}
	d.Job.Plans, d.Job.Tasks = p.Plans, len(d.Tasks)
	for _, t := range d.Tasks {
		d.Job.Counts.Variants += t.Tally().Variants
	}
	return d.Draft, nil
}

// unit drafts the images of one unit.
func (d *drafting) unit(at int, u unit.Unit) {
	p, err := d.Plan(u.Variants)
	if err != nil {
		f := fault.Of(err)
		d.Bad[at] = unit.Error{Code: f.Kind, Detail: f.Public}
		return
	}
	share := d.Call.Share(u)
	if share > 0 {
		if _, _, err := d.parser.ParseOptions(d.Plans[p].OptionsWithin(0, share)); err != nil {
			d.Bad[at] = unit.Error{Code: fault.BadOption, Detail: "the unit has a budget, and URLs may not have max_bytes: " + fault.Of(err).Public}
			return
		}
	}
	for _, img := range u.Images {
		d.Job.Counts.Images++
		d.Images[at] = append(d.Images[at], d.image(u, img, p, share))
	}
}

// image drafts one image: as another place of an equal one, or as a new one.
func (d *drafting) image(u unit.Unit, img unit.Image, planned, share int) *Drafted {
	p := d.Plans[planned]
	here := ledger.Spot{Unit: u.Index, ID: u.ID, Pointer: img.Pointer, Auto: img.Auto, Sure: img.Sure}
	w := &ledger.Image{Spots: []ledger.Spot{here}, Share: share, Verdicts: make([]*ledger.Outcome, len(p.Targets))}
	for i := range w.Verdicts {
		w.Verdicts[i] = &ledger.Outcome{State: ledger.Pending}
	}
	bad := img.Bad
	if bad == "" {
		ref, err := d.parser.Ref(img.Source, p.Specs[0])
		if may := d.Call.Rights; err == nil && may != nil && !may.AllowsSource(ref.Source) {
			err = fault.New(fault.SourceNotAllowed, "draft.draft", "this token may not ask for the source", nil)
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
		// A value that is not a URL is not recorded: it may be any text of the unit.
		w.Share = 0
		w.Close(ledger.Broken, bad, d.now)
		return d.place(planned, w, size)
	}
	name := fmt.Sprintf("%d %d %s", planned, share, w.Source)
	if x := d.drawn[name]; x != nil && len(x.Work.Spots) < ledger.TaskSpots && *x.size+size < 2*ledger.TaskBytes {
		x.Work.Spots = append(x.Work.Spots, here)
		*x.size += size
		return x
	}
	x := d.place(planned, w, size+len(w.Source)+len(w.Verdicts)*160)
	d.drawn[name] = x
	return x
}

// conceal replaces a link that expires by an opaque source.
func (d *drafting) conceal(ref variant.Ref, w *ledger.Image) (variant.Ref, error) {
	source, shown := d.parser.Opaque(ref.Source)
	if !d.r.Links || source == "" {
		return ref, nil
	}
	id, _ := variant.OpaqueID(source)
	d.Links[id], w.Shown = ref.Source, shown
	return d.parser.Ref(source, ref.Spec)
}

// place adds an image to a task that has room.
func (d *drafting) place(planned int, w *ledger.Image, size int) *Drafted {
	t := d.open[planned]
	if t == nil || len(t.Images) == ledger.TaskImages || *d.sizes[t]+size > ledger.TaskBytes {
		t = &ledger.Task{Plan: planned}
		d.open[planned], d.sizes[t] = t, new(int)
		d.Tasks = append(d.Tasks, t)
	}
	t.Images = append(t.Images, w)
	*d.sizes[t] += size
	x := &Drafted{Plan: d.Plans[planned], Work: w, size: d.sizes[t]}
	d.Works = append(d.Works, x)
	return x
}
