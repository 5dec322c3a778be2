// Package migrate reads the access log of another image proxy and reports which of its requests would get the same
// response, which another one, and which none.
package migrate

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/grammar"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// The grammars of URLs.
const (
	Imgproxy = "imgproxy"
	Thumbor  = "thumbor"
)

// Judge decides how a request would be handled.
type Judge struct {
	Grammar string
	Parser  *variant.Parser
	Keys    *signing.Keyring // nil = signatures are not checked
	Prefix  string           // before the signature
}

// Outcome is how requests are handled.
type Outcome string

// The outcomes, in the order of the report.
const (
	Same    Outcome = "as it is"
	Differs Outcome = "differs"
	Refused Outcome = "refused"
)

// Report counts requests by outcome and reason.
type Report struct {
	Requests int // for images
	Other    int // lines without an image request
	counts   map[Outcome]map[string]*reason
}

// reason is a reason of an outcome.
type reason struct {
	requests int
	example  string // path of the first one
}

// maxLine is the maximum length of a line in bytes.
const maxLine = 1 << 20

// maxReasons is the maximum number of different reasons, since URLs may contain anything.
const maxReasons = 1000

// Read judges each line of a log, or of a list of URLs.
func Read(log io.Reader, j Judge) (Report, error) {
	r := Report{counts: map[Outcome]map[string]*reason{Same: {}, Differs: {}, Refused: {}}}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		target := Target(lines.Text())
		target, ok := strings.CutPrefix(target, j.Prefix)
		if !ok || strings.Count(target, "/") < 2 {
			r.Other++
			continue
		}
		r.Requests++
		outcome, why := j.judge(target)
		r.count(outcome, why, target)
	}
	return r, lines.Err()
}

func (r *Report) count(outcome Outcome, why, target string) {
	all := r.counts[outcome]
	if all[why] == nil && len(all) >= maxReasons {
		why = "other reasons"
	}
	if all[why] == nil {
		all[why] = &reason{example: withoutQuery(target)}
	}
	all[why].requests++
}

// withoutQuery removes the query, which may contain a secret.
func withoutQuery(target string) string {
	path, _, _ := strings.Cut(target, "?")
	return path
}

var (
	requestPattern = regexp.MustCompile(`\b(?:GET|HEAD) ((?:/|https?:)\S+)`)
	startedPattern = regexp.MustCompile(`\bStarted (/\S+)`)
)

// Target finds the request target in a line: a URL or path only, a request line as in access logs, a field of a JSON
// log, or imgproxy's line for the start of a request. "" = there is none.
func Target(line string) string {
	line = strings.TrimSpace(line)
	alone := !strings.ContainsAny(line, " \t")
	switch {
	case strings.HasPrefix(line, "{"):
		return fieldTarget(line)
	case alone && strings.HasPrefix(line, "/"):
		return line
	case alone && (strings.HasPrefix(line, "http://") || strings.HasPrefix(line, "https://")):
		_, rest, _ := strings.Cut(line, "://")
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:]
		}
		return ""
	}
	for _, pattern := range []*regexp.Regexp{requestPattern, startedPattern} {
		if m := pattern.FindStringSubmatch(line); m != nil {
			return Target(strings.Trim(m[1], `"`))
		}
	}
	return ""
}

// fieldTarget finds the request target in a line of JSON.
func fieldTarget(line string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(line), &fields) != nil {
		return ""
	}
	for _, name := range []string{"path", "uri", "url", "request_uri", "request", "message", "msg"} {
		text, _ := fields[name].(string)
		if strings.HasPrefix(text, "{") {
			continue
		}
		if target := Target(text); target != "" {
			return target
		}
	}
	return ""
}

// judge decides how a request would be handled.
func (j Judge) judge(target string) (Outcome, string) {
	if j.Grammar == Thumbor {
		return j.judgeThumbor(target)
	}
	path, parse := grammar.Unverified(j.Parser, target)
	var pair *signing.Pair
	if j.Keys != nil {
		verified, p, err := grammar.Verify(j.Keys, j.Parser, target)
		if err != nil {
			return Refused, fault.Of(err).Public
		}
		path, pair, parse = verified.Path, verified.Key, p
	}
	ref, terms, err := parse(path)
	switch {
	case err != nil:
		return Refused, fault.Of(err).Public
	case !allows(pair, ref):
		return Refused, "the key may not be used for this source"
	case terms.Expired(time.Now()):
		return Same, "expired URLs are refused, as before"
	}
	return told(ref)
}

// allows reports whether the key, if it counts, may be used for the original and its watermark.
func allows(pair *signing.Pair, ref variant.Ref) bool {
	mark := ref.Spec.Watermark.Source
	return pair == nil || pair.AllowsSource(ref.Source) && (mark == "" || pair.AllowsSource(mark))
}

// told describes how the response to an accepted URL differs.
func told(ref variant.Ref) (Outcome, string) {
	if ref.Spec.Format == variant.Info {
		return Differs, "/info tells the same under the same names, but for metadata, which stay private"
	}
	if ref.Spec.Raw {
		return Same, "the original is sent as it is"
	}
	if ref.Spec.KeepCopyright {
		return Differs, "of the metadata, copyright and artist alone are kept"
	}
	if ref.Spec.IsOpen() {
		return Differs, "the format is negotiated where the URL names none; imgproxy keeps the source's, or detects it"
	}
	return Same, "the URL names its format"
}

// judgeThumbor decides how a request for thumbor or imagor would be handled. It is answered below /thumbor if the
// configuration has their key; otherwise it must be rewritten.
func (j Judge) judgeThumbor(target string) (Outcome, string) {
	_, path, _ := strings.Cut(strings.TrimPrefix(target, "/"), "/")
	mounted := j.Keys != nil && j.Keys.HasThumbor()
	var pair *signing.Pair
	if mounted {
		verified, err := j.Keys.VerifyThumbor(target)
		if err != nil {
			return Refused, fault.Of(err).Public
		}
		path, pair = verified.Path, verified.Key
	}
	ref, _, err := grammar.ParseThumbor(j.Parser, path)
	switch {
	case err != nil:
		return Refused, fault.Of(err).Public
	case !allows(pair, ref):
		return Refused, "the key may not be used for this source"
	case mounted:
		return Differs, "it is answered below /thumbor"
	}
	return Differs, "the URL has a counterpart: set signing.thumbor.key, or rewrite the URL"
}

// maxTold is the maximum number of printed reasons of one outcome.
const maxTold = 20

// Print writes the report: each outcome with its fraction of the requests, and its reasons, the most frequent first.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%d requests for images; %d other lines\n", r.Requests, r.Other)
	for _, outcome := range []Outcome{Same, Differs, Refused} {
		all, sum := r.counts[outcome], 0
		for _, x := range all {
			sum += x.requests
		}
		fmt.Fprintf(w, "%-9s %6s %9d\n", outcome, r.share(sum), sum)
		whys := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
			return cmp.Or(cmp.Compare(all[b].requests, all[a].requests), cmp.Compare(a, b))
		})
		for i, why := range whys {
			if i == maxTold {
				fmt.Fprintf(w, "  and %d more reasons\n", len(whys)-i)
				break
			}
			fmt.Fprintf(w, "  %6s %9d  %s\n", r.share(all[why].requests), all[why].requests, fault.Plain(why))
			if outcome != Same {
				fmt.Fprintf(w, "                    such as %.160s\n", fault.Plain(all[why].example))
			}
		}
	}
}

// share is a part of the requests.
func (r Report) share(n int) string {
	if r.Requests == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(n)/float64(r.Requests))
}
