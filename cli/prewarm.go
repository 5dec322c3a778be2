package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/cli/feed"
	"github.com/goldcrest/goldcrest/cli/progress"
	"github.com/goldcrest/goldcrest/cli/unitfile"
	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/pause"
)

const (
	maxBatchBytes = 4 << 20         // a batch of lines is posted when it has this size
	pollEvery     = 2 * time.Second // the timeout of one long poll of a job
	maxJobsAhead  = 1000            // jobs posted and not yet ended: at this number, posting waits
)

// prewarming is one run of the command.
type prewarming struct {
	flags    apiFlags
	api      *client.API
	call     client.Call
	batch    int
	verdicts *json.Encoder    // nil = not requested
	bar      *progress.Bar    //
	lines    *progress.Notes  // messages about single units
	broken   *progress.Notes  // and about images that could not be made
	totals   progress.Totals  // of ended jobs
	accepted bool             // the server has accepted something
	posted   chan postedBatch // in order
}

// postedBatch is a batch that the server has accepted, or the error that ended the posting.
type postedBatch struct {
	job    client.Accepted
	bad    int // lines that the server could not parse
	failed error
}

// runPrewarm posts Data Units to a running server and waits until their pictures are made.
func runPrewarm(ctx context.Context, e env, args []string) (err error) {
	fs := newFlags("prewarm")
	p := &prewarming{flags: addAPIFlags(e, fs), posted: make(chan postedBatch, maxJobsAhead)}
	variants := fs.String("variants", "", "presets or options, such as lite,rs:fit:480:0; default: the presets that the server is configured with")
	manyFlag(fs, &p.call.Select, "select", "where images stand in a unit, as JSONPath or JSON Pointer; may be given several times; default: found by itself")
	manyFlag(fs, &p.call.Tags, "tag", "a tag for the jobs; may be given several times")
	fs.StringVar(&p.call.Priority, "priority", "", "low, normal or high")
	fs.Int64Var(&p.call.Budget, "budget", 0, "bytes that the images of one unit may have together, in each variant and format; 0 = as many as it takes")
	fs.BoolVar(&p.call.Again, "again", false, "look again at sources that are known to be broken, which are else answered for an hour without a fetch")
	fs.IntVar(&p.batch, "batch", 200, "units in one call")
	watched := fs.String("watch", "", "a `DIR` whose files are posted as they appear, or - for the lines of standard input; an interrupt ends it")
	from := fs.String("from", "", "`URL` of a queue of RabbitMQ, amqp://user:password@host/vhost?queue=NAME, whose messages are posted; an interrupt ends it")
	out := fs.String("o", "", "`FILE` for the verdicts, one JSON object a line")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	given := fs.NArg()
	for _, name := range []string{*watched, *from} {
		if name != "" {
			given++
		}
	}
	if given != 1 {
		return usageError{errors.New("give one FILE with Data Units, one a line or as a JSON array, or - for standard input; or one of -watch and -from")}
	}
	if err := errors.Join(atLeast("batch", int64(p.batch), 1), atLeast("budget", p.call.Budget, 0)); err != nil {
		return err
	}
	p.call.Variants, p.call.Return = variantsOf(*variants), "none"
	if p.api, err = p.flags.open(); err != nil {
		return err
	}
	source, err := p.source(e, *watched, *from, fs.Arg(0))
	if err != nil {
		return err
	}
	if *out != "" {
		w, err := e.stdoutOr(*out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		p.verdicts = json.NewEncoder(w)
	}
	p.bar = progress.New(e.stderr)
	p.lines, p.broken = &progress.Notes{Bar: p.bar, What: "lines"}, &progress.Notes{Bar: p.bar, What: "images"}
	p.totals.Reasons = map[string]int{}
	return p.run(ctx, e, source)
}

// source is where units come from.
type source struct {
	read    func(context.Context) error
	endless bool // it ends by an interrupt
}

// source is a directory, a pipe or a queue that is watched, else a file.
func (p *prewarming) source(e env, watched, from, file string) (source, error) {
	switch {
	case watched == "-":
		return source{func(ctx context.Context) error { return feed.Lines(ctx, e.stdin, p.post) }, true}, nil
	case watched != "":
		return source{func(ctx context.Context) error { return feed.Directory(ctx, watched, p.post) }, true}, nil
	case from != "":
		return source{func(ctx context.Context) error {
			return feed.Queue(ctx, from, p.post, func(err error) { p.lines.Tell("%v", err) })
		}, true}, nil
	}
	in, err := e.open(file)
	return source{read: func(ctx context.Context) error {
		defer in.Close()
		_, err := p.post(ctx, in)
		return err
	}}, err
}

// run posts in one goroutine and watches the jobs in this one, in the order of posting.
func (p *prewarming) run(ctx context.Context, e env, from source) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(p.posted)
		if err := from.read(ctx); err != nil {
			select {
			case p.posted <- postedBatch{failed: err}:
			case <-ctx.Done():
			}
		}
	}()
	failed := p.watch(ctx)
	if errors.Is(failed, context.Canceled) && from.endless {
		failed = nil
	}
	if p.accepted {
		p.bar.End()
		p.broken.End()
		p.totals.Print(e.stdout)
	}
	p.lines.End()
	return p.result(e, failed)
}

// result is the error of a run, which says what to do.
func (p *prewarming) result(e env, failed error) error {
	switch t := p.totals; {
	case failed != nil && !p.accepted:
		return p.flags.explain(failed)
	case failed != nil:
		return fmt.Errorf("%w\nWhat was accepted before goes on at the server", p.flags.explain(failed))
	case t.Unreadable > 0:
		return fmt.Errorf("%d units could not be read; the lines above say why: correct them and run this again; what is made stays", t.Unreadable)
	case !p.accepted:
		fmt.Fprintln(e.stderr, "there are no Data Units in that file: nothing was done")
	case t.GivenUp > 0:
		return fmt.Errorf("%d jobs were cancelled or expired before they ended: run this again for the rest", t.GivenUp)
	case t.Failed > 0:
		return fmt.Errorf("%d variants failed though they were tried again; run this again later: what is made stays", t.Failed)
	}
	return nil
}

// post reads the units and posts them in batches, and counts those that are accepted. Units read before an error are
// still posted.
func (p *prewarming) post(ctx context.Context, in io.Reader) (accepted int, err error) {
	units := unitfile.NewReader(in)
	var b batch
	for {
		u, err := units.Next()
		if len(b.lines) > 0 && (err != nil || len(b.lines) == p.batch || b.body.Len()+len(u.Text) > maxBatchBytes) {
			bad, err := p.postBatch(ctx, b)
			if err != nil {
				return accepted, err
			}
			accepted += len(b.lines) - bad
			b = batch{}
		}
		switch {
		case errors.Is(err, io.EOF):
			return accepted, nil
		case err != nil:
			return accepted, err
		case u.Bad != "":
			p.lines.Tell("line %d: %s (bad_unit)", u.Line, u.Bad)
			if err := p.hand(ctx, postedBatch{bad: 1}); err != nil {
				return accepted, err
			}
			continue
		}
		b.body.Write(u.Text)
		b.body.WriteByte('\n')
		b.lines = append(b.lines, u.Line)
	}
}

// batch is the units of one call.
type batch struct {
	body  bytes.Buffer
	lines []int // the line in the file of each unit's start
}

// line returns the line in the file for line n of the body, from 1.
func (b batch) line(n int) int { return b.lines[min(max(n, 1), len(b.lines))-1] }

// postBatch posts a batch, and prints a message for each unit that the server could not parse or has a note about. bad
// is the number of units that could not be parsed.
func (p *prewarming) postBatch(ctx context.Context, b batch) (bad int, err error) {
	call := p.call
	call.Key = rand.Text() // for the retries of this call
	accepted, err := p.api.PrewarmLines(ctx, b.body.Bytes(), call)
	var refused *client.Error
	if errors.As(err, &refused) && refused.Code == "bad_unit" { // no unit of it could be parsed
		p.lines.Tell("lines %d to %d: %s (%s)", b.lines[0], b.line(len(b.lines)), b.inFile(refused.Detail), refused.Code)
		return len(b.lines), p.hand(ctx, postedBatch{bad: len(b.lines)})
	}
	if err != nil {
		return 0, err
	}
	posted := postedBatch{job: accepted}
	for _, u := range accepted.Units {
		switch {
		case u.Error != nil:
			posted.bad++
			at := ""
			if u.Error.Pointer != "" {
				at = " at " + u.Error.Pointer
			}
			p.lines.Tell("line %d%s: %s (%s)", b.line(u.Line), at, u.Error.Detail, u.Error.Code)
		case u.Note != nil:
			p.lines.Tell("line %d: %s (%s)", b.line(u.Line), u.Note.Detail, u.Note.Code)
		}
	}
	return posted.bad, p.hand(ctx, posted)
}

// inFile replaces the line numbers of the body by those of the file in the server's message.
func (b batch) inFile(detail string) string {
	before, after, ok := strings.Cut(detail, "in line ")
	var n int
	if _, err := fmt.Sscanf(after, "%d", &n); !ok || err != nil {
		return detail
	}
	return before + "in line " + strconv.Itoa(b.line(n)) + strings.TrimPrefix(after, strconv.Itoa(n))
}

// hand passes a posted batch to watch.
func (p *prewarming) hand(ctx context.Context, b postedBatch) error {
	select {
	case p.posted <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch follows each job to its end.
func (p *prewarming) watch(ctx context.Context) error {
	for b := range p.posted {
		if b.failed != nil {
			return b.failed
		}
		p.totals.Unreadable += b.bad
		p.bar.Posted(b.job.Counts.Variants)
		if b.job.Job == "" { // no unit of the batch was accepted
			continue
		}
		p.accepted = true
		if err := p.follow(ctx, b.job.Job); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// follow watches one job and adds it to the totals once it has ended.
func (p *prewarming) follow(ctx context.Context, id string) error {
	for {
		asked := time.Now()
		j, err := p.api.Job(ctx, id, pollEvery)
		if err != nil {
			return err
		}
		p.bar.At(p.totals.With(j))
		if !j.Ended() {
			if err := pause.For(ctx, time.Until(asked.Add(pollEvery/10))); err != nil {
				return err
			}
			continue
		}
		p.totals = p.totals.With(j)
		return p.results(ctx, j)
	}
}

// results reads the verdicts of an ended job: all of them if they are to be written, else only those of failures.
func (p *prewarming) results(ctx context.Context, j client.Job) error {
	var states []string
	switch {
	case p.verdicts != nil:
		states = []string{""}
	default:
		if j.Counts.Broken > 0 {
			states = append(states, "broken")
		}
		if j.Counts.Failed > 0 {
			states = append(states, "failed")
		}
	}
	told := ""
	for _, state := range states {
		for v, err := range p.api.Results(ctx, j.ID, state) {
			if err != nil {
				return err
			}
			if p.verdicts != nil {
				if err := p.verdicts.Encode(v); err != nil {
					return err
				}
			}
			if v.State != "broken" && v.State != "failed" {
				continue
			}
			p.totals.Reasons[v.Reason]++
			// The variants of an image follow each other: report it once.
			if image := fmt.Sprintf("%s: %s at %s %s", v.State, v.UnitID, v.Pointer, v.Source); image != told {
				told = image
				p.broken.Tell("%s (%s)", image, v.Reason)
			}
		}
	}
	return nil
}
