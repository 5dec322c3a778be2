package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

const (
	maxBatchBytes = 4 << 20         // a call of lines is closed when it has grown to this
	maxLineBytes  = 15 << 20        // a longer line would not fit into any call
	pollEvery     = 2 * time.Second // how long one look at a job may be held back
	maxJobsAhead  = 1000            // jobs posted and not yet ended: past it, posting waits
)

// prewarming is one run of the command.
type prewarming struct {
	flags    apiFlags
	api      *client.API
	call     client.Call
	batch    int
	key      string           // of this run; each batch's idempotency key begins with it
	verdicts *json.Encoder    // nil = not wanted
	bar      *progress        //
	totals   totals           // of the jobs that ended
	posted   chan postedBatch // in order
}

// postedBatch is a batch that the server has accepted, or the error that ended the posting.
type postedBatch struct {
	job    client.Accepted
	bad    int // lines that the server could not read
	failed error
}

// totals sums up the jobs of a run.
type totals struct {
	client.Counts
	client.Bytes
	unreadable int
	givenUp    int // jobs that were cancelled or expired
}

// runPrewarm posts Data Units to a running server and waits until their pictures are made.
func runPrewarm(ctx context.Context, e env, args []string) (err error) {
	fs := newFlags("prewarm")
	p := &prewarming{flags: addAPIFlags(e, fs), key: rand.Text(), posted: make(chan postedBatch, maxJobsAhead)}
	variants := fs.String("variants", "", "names of presets, such as lite,std; default: those the server is configured with")
	var selects, tags manyFlag
	fs.Var(&selects, "select", "where images stand in a unit, as JSONPath or JSON Pointer; may be given several times; default: found by itself")
	fs.Var(&tags, "tag", "a tag for the jobs; may be given several times")
	fs.StringVar(&p.call.Priority, "priority", "", "low, normal or high")
	fs.Int64Var(&p.call.Budget, "budget", 0, "bytes that the images of one unit may have together, in each variant and format; 0 = as many as it takes")
	fs.IntVar(&p.batch, "batch", 200, "units in one call")
	out := fs.String("o", "", "`FILE` for the verdicts, one JSON object a line")
	if err := parseFlags(e, fs, args); err != nil {
		return err
	}
	if fs.NArg() != 1 || p.batch < 1 {
		return usageError{errors.New("give one FILE.jsonl with a Data Unit a line, or - for standard input")}
	}
	p.call.Select, p.call.Tags, p.call.Return = selects, tags, "none"
	for _, name := range listFlag(*variants) {
		p.call.Variants = append(p.call.Variants, client.Variant{Name: name})
	}
	if p.api, err = p.flags.open(); err != nil {
		return err
	}
	in, err := e.open(fs.Arg(0))
	if err != nil {
		return err
	}
	defer in.Close()
	if *out != "" {
		w, err := e.stdoutOr(*out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.Close()) }()
		p.verdicts = json.NewEncoder(w)
	}
	p.bar = newProgress(e.stderr)
	return p.run(ctx, e, in)
}

// open opens a file for reading, or gives stdin for "-".
func (e env) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.stdin), nil
	}
	return os.Open(name)
}

// run posts in one goroutine and watches the jobs in this one, in the order of their posting.
func (p *prewarming) run(ctx context.Context, e env, in io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(p.posted)
		if err := p.post(ctx, e, in); err != nil {
			select {
			case p.posted <- postedBatch{failed: err}:
			case <-ctx.Done():
			}
		}
	}()
	failed := p.watch(ctx)
	p.bar.end()
	p.totals.print(e.stdout)
	t := p.totals
	switch {
	case failed != nil:
		return fmt.Errorf("%w\nWhat was accepted before goes on at the server", p.flags.explain(failed))
	case t.unreadable > 0:
		return fmt.Errorf("%d lines could not be read as Data Units; they are named above: mend them and run this again, what is made stays", t.unreadable)
	case t.givenUp > 0:
		return fmt.Errorf("%d jobs were cancelled or expired before they ended: run this again for the rest", t.givenUp)
	case t.Failed > 0:
		return fmt.Errorf("%d variants failed though they were tried again; run this again later: what is made stays", t.Failed)
	}
	return nil
}

// post reads the lines and posts them in batches.
func (p *prewarming) post(ctx context.Context, e env, in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	var body bytes.Buffer
	first, lines := 1, 0 // number of the batch's first line in the file; lines in the batch
	for n, ended := 1, false; !ended; n++ {
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF):
			ended = true
		case err != nil:
			return fmt.Errorf("line %d: %w", n, err)
		}
		if lines > 0 && (ended || lines == p.batch || body.Len()+len(line) > maxBatchBytes) {
			if err := p.postBatch(ctx, e, body.Bytes(), first); err != nil {
				return err
			}
			body.Reset()
			first, lines = n, 0
		}
		body.Write(line)
		body.WriteByte('\n')
		lines++
	}
	return nil
}

// readLine reads a line without its end; the last one may lack it. io.EOF: there is no more.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLineBytes:
			return nil, fmt.Errorf("it has more than %d MiB, which no call can hold; split the unit", maxLineBytes>>20)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		default:
			return nil, err
		}
	}
}

// postBatch posts the lines of the file from the one numbered first on, and prints those that the server could not read.
func (p *prewarming) postBatch(ctx context.Context, e env, body []byte, first int) error {
	call := p.call
	call.Key = p.key + "-" + strconv.Itoa(first)
	accepted, err := p.api.PrewarmLines(ctx, body, call)
	if err != nil {
		return err
	}
	b := postedBatch{job: accepted}
	for _, u := range accepted.Units {
		if u.Error == nil {
			continue
		}
		b.bad++
		at := ""
		if u.Error.Pointer != "" {
			at = " at " + u.Error.Pointer
		}
		p.bar.line("line %d%s: %s (%s)", first+max(u.Line, 1)-1, at, u.Error.Detail, u.Error.Code)
	}
	select {
	case p.posted <- b:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// watch follows each job to its end.
func (p *prewarming) watch(ctx context.Context) error {
	for b := range p.posted {
		if b.failed != nil {
			return b.failed
		}
		p.totals.unreadable += b.bad
		p.bar.posted(b.job.Counts.Variants)
		if b.job.Job == "" { // Nothing in the batch could be worked.
			continue
		}
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
		p.bar.at(p.totals.with(j))
		if !j.Ended() {
			if err := pauseUntil(ctx, asked.Add(pollEvery/10)); err != nil {
				return err
			}
			continue
		}
		p.totals = p.totals.with(j)
		if p.verdicts == nil {
			return nil
		}
		for v, err := range p.api.Results(ctx, id, "") {
			if err == nil {
				err = p.verdicts.Encode(v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// pauseUntil keeps a server that answers early from being asked without pause.
func pauseUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// with adds a job.
func (t totals) with(j client.Job) totals {
	c := j.Counts
	t.DataUnits, t.Images, t.Variants = t.DataUnits+c.DataUnits, t.Images+c.Images, t.Variants+c.Variants
	t.Made, t.Present, t.Broken, t.Failed, t.Skipped = t.Made+c.Made, t.Present+c.Present, t.Broken+c.Broken, t.Failed+c.Failed, t.Skipped+c.Skipped
	t.Pending, t.Over = t.Pending+c.Pending, t.Over+c.Over
	t.Source, t.Stored, t.Saved = t.Source+j.Bytes.Source, t.Stored+j.Bytes.Stored, t.Saved+j.Bytes.Saved
	if j.State == "cancelled" || j.State == "expired" {
		t.givenUp++
	}
	return t
}

// print writes the closing table.
func (t totals) print(w io.Writer) {
	row := func(name string, n int) { fmt.Fprintf(w, "%-14s %12s\n", name, thousands(n)) }
	fmt.Fprintf(w, "%-14s %12s\n", "", "variants")
	row("made", t.Made)
	row("present", t.Present)
	row("broken", t.Broken)
	row("failed", t.Failed)
	row("skipped", t.Skipped)
	if t.Over > 0 {
		row("over budget", t.Over)
	}
	if t.Pending > 0 {
		row("pending", t.Pending)
	}
	fmt.Fprintf(w, "from %s images in %s units", thousands(t.Images), thousands(t.DataUnits))
	if t.unreadable > 0 {
		fmt.Fprintf(w, "; %s lines unreadable", thousands(t.unreadable))
	}
	fmt.Fprintf(w, "\nbytes before   %12s\nbytes after    %12s", megabytes(t.Source), megabytes(t.Stored))
	if t.Source > 0 {
		fmt.Fprintf(w, "   %.1f %% saved", 100*(1-float64(t.Stored)/float64(t.Source)))
	}
	fmt.Fprintln(w)
}
