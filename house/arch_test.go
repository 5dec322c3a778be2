package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/goldcrest/goldcrest"

// layer says which packages of this module one package may import, and why not more. "*" allows all.
type layer struct {
	may []string
	why string
}

// layers is the whole import graph. A package that is not here fails the test: draw it into the graph first. Packages
// that are planned may stand here before they exist.
var layers = map[string]layer{
	"fault":   {nil, "the ground: everything classifies failures, so it can depend on nothing"},
	"metrics": {[]string{"fault"}, "labels are plain words, so that a metric ties no two packages together"},
	"sniff":   {[]string{"fault"}, "a pure reader of hostile bytes, shared by both sides of the worker's wall"},
	"reach":   {[]string{"fault"}, "who may have what comes from a host is asked by every door, by anyone who fetches, and by the heart between them"},
	"thumbor": {[]string{"fault"}, "a reader of another grammar: what comes of it is text of ours"},
	"variant": {[]string{"fault", "reach", "sniff", "variant/accept", "variant/hints", "variant/naming"},
		"what a variant is must be decidable without I/O and by every door alike"},
	"variant/about": {[]string{"fault", "variant"},
		"the server and the worker agree on what is told of an original: it reads no file"},
	"grammar": {[]string{"signing", "thumbor", "variant", "variant/about"},
		"a URL means the same to the server and to who judges a log: it asks nobody"},
	"signing": {[]string{"fault", "reach", "secretfile"}, "nothing is parsed before its signature holds, so the keyring cannot know the grammar"},
	"origin": {[]string{"fault", "origin/manners", "reach", "sniff"},
		"a leaf: it fetches bytes and knows neither variants nor stores"},

	"origin/manners":     {[]string{"reach", "secretfile"}, "how hosts are asked is decided before any fetch"},
	"origin/s3source":    {[]string{"fault", "reach", "secretfile"}, "a Source: limits are the fetch's"},
	"origin/localsource": {[]string{"fault", "stall"}, "a Source: limits are the fetch's"},

	"variant/accept": {nil, "reads a header field: what is made of it is for others to know"},
	"variant/hints":  {nil, "reads header fields: what is made of them is for others to know"},
	"variant/naming": {[]string{"fault"}, "a name means the same at every door, so it is read without I/O"},

	"trace":           {nil, "the ground: a step is named where it is taken, and anyone who records it is plugged in from above"},
	"trace/tracetest": {[]string{"trace"}, "a fake for the tests of those who name their steps"},

	"secretfile": {nil, "the ground: anyone who reads a secret from a file reads it the same way"},

	"invalid":   {nil, "the ground: any section of the configuration may need it"},
	"pause":     {nil, "the ground: anyone who waits may need it"},
	"stall":     {nil, "the ground: whatever calls a disk may need it"},
	"telemetry": {[]string{"fault", "invalid", "trace"}, "sends what the others record, and decides nothing"},
	"report": {[]string{"fault", "invalid", "secretfile"},
		"reads log lines as an operator does: the parts do not know that it exists"},
	"heat":     {nil, "counts, and compares prices: what is counted, and what is done about it, is for others to know"},
	"pressure": {nil, "a leaf: it reads how much memory is left and says which step that calls for; what a step means is for others to know"},

	"cache":           {nil, "a leaf that knows no images and classifies no failures: the pipeline makes faults of its errors"},
	"cache/s3store":   {[]string{"cache"}, "a Store and nothing else"},
	"cache/dirstore":  {[]string{"cache", "stall"}, "a Store and nothing else"},
	"cache/cachetest": {[]string{"cache"}, "the law of Store must not depend on one Store"},

	"links": {[]string{"cache", "fault", "origin", "reach", "secretfile", "variant"},
		"live links beside the store, and the fetch by id: it knows neither doors nor pictures"},

	"transform":                 {[]string{"variant", "variant/about", "fault", "sniff"}, "runs workers; knows neither HTTP nor stores nor cgo"},
	"transform/codec/score":     {nil, "compares pixels, and knows no file"},
	"transform/codec/sequence":  {nil, "writes samples into files, and knows no variants"},
	"transform/codec/allowance": {nil, "counts time, and knows nothing of what it is spent on"},
	"transform/codec/container": {[]string{"sniff", "variant"}, "reads structure, and no pixel: it decides by the bytes alone"},
	"transform/codec/quantize":  {nil, "mathematics on counts"},
	"transform/codec/dominant":  {nil, "mathematics on pixels"},
	"transform/codec/specimen":  {nil, "draws the same pictures everywhere"},
	"transform/codec/bmp":       {[]string{"fault"}, "reads hostile files: it knows neither variants nor what is made"},
	"transform/codec/frosted":   {nil, "mathematics on pixels"},
	"transform/codec/svg":       {[]string{"fault", "sniff"}, "reads hostile documents, and knows no variants"},
	"transform/codec/vips": {[]string{"transform/codec/geometry", "fault", "variant"},
		"libvips as it is: what is done with a picture is for the rooms above to say"},
	"transform/codec/geometry": {[]string{"fault", "variant"}, "where pixels lie is decided before any is read"},
	"transform/codec/decode": {[]string{"transform/codec/bmp", "transform/codec/container", "transform/codec/geometry",
		"transform/codec/svg", "transform/codec/vips", "transform", "fault", "sniff", "variant"},
		"opens originals: it knows nothing of what is made of them"},
	"transform/codec/look": {[]string{"transform/codec/geometry", "transform/codec/vips"},
		"tells what a picture is like, and not what follows from it"},
	"transform/codec/render": {[]string{"transform/codec/decode", "transform/codec/frosted", "transform/codec/geometry",
		"transform/codec/look", "transform/codec/vips", "transform", "fault", "sniff", "variant", "variant/about"},
		"makes pixels, and knows no encoder"},
	"transform/codec/choose": {[]string{"transform/codec/look", "transform/codec/quantize", "transform/codec/render",
		"transform/codec/vips", "transform", "variant"},
		"says what an encoder is told, and encodes nothing"},
	"transform/codec/judge": {[]string{"transform/codec/choose", "transform/codec/container",
		"transform/codec/geometry", "transform/codec/look", "transform/codec/quantize", "transform/codec/render",
		"transform/codec/score", "transform/codec/sequence", "transform/codec/vips", "transform", "variant"},
		"compares encodes with pixels: what follows from a score is for others to say"},
	"transform/codec/untouched": {[]string{"transform/codec/container", "transform/codec/decode", "transform/codec/geometry",
		"transform/codec/render", "transform/codec/vips", "variant"},
		"gives the original's own bytes: it encodes no pixel"},
	"transform/codec/credit": {[]string{"sniff", "transform/codec/container", "variant"},
		"what is kept of metadata is read and written without a pixel"},
	"transform/codec/encode": {[]string{"transform/codec/allowance", "transform/codec/choose", "transform/codec/container",
		"transform/codec/credit",
		"transform/codec/decode", "transform/codec/dominant", "variant/about",
		"transform/codec/judge", "transform/codec/look", "transform/codec/quantize",
		"transform/codec/render", "transform/codec/sequence", "transform/codec/untouched", "transform/codec/vips",
		"variant"},
		"searches for the bytes of one variant: it knows no other variant of the call"},
	"transform/codec/check": {[]string{"transform/codec/choose", "transform/codec/judge", "transform/codec/specimen",
		"transform/codec/vips", "transform", "variant"},
		"measures encoders as any user of them does"},
	"transform/codec/codectest": {[]string{"transform/codec/container", "transform/codec/vips", "transform", "sniff"},
		"what tests draw must not depend on what they test"},
	"transform/codec": {[]string{
		"transform",
		"transform/codec/allowance",
		"transform/codec/check",
		"transform/codec/choose",
		"transform/codec/container",
		"transform/codec/decode",
		"transform/codec/encode",
		"transform/codec/geometry",
		"transform/codec/render",
		"transform/codec/sequence",
		"transform/codec/specimen",
		"transform/codec/untouched",
		"transform/codec/svg",
		"transform/codec/vips",
		"variant", "fault",
	}, "the path of a call through the rooms; its Config lives in transform"},

	"pipeline": {
		[]string{
			"pipeline/calm", "pipeline/fetch", "pipeline/gate", "pipeline/marks", "pipeline/master",
			"pipeline/verbatim", "pipeline/verdict", "pipeline/weight",
			"variant", "cache", "origin", "fault", "heat", "metrics", "pressure", "reach", "trace",
		},
		"the heart: the transform is plugged in through an interface",
	},
	"pipeline/gate": {
		[]string{"fault"}, "who goes first: it knows no pictures, so that a test can have any kind of work wait",
	},
	"pipeline/fetch": {
		[]string{"pipeline/gate", "variant", "cache", "origin", "fault", "trace"},
		"gives originals to those who want them: it knows nothing of what is made of them",
	},
	"pipeline/marks": {[]string{"pipeline/fetch", "variant", "cache", "origin", "fault", "reach"},
		"stands before the source of originals, and is asked as that is"},
	"pipeline/verbatim": {[]string{"fault", "variant"}, "which variants are their original follows from its bytes"},
	"pipeline/verdict":  {[]string{"fault", "origin", "reach"}, "a table of failures: it knows nothing of callers"},
	"pipeline/calm":     {nil, "arithmetic on two clocks"},
	"pipeline/weight":   {[]string{"pipeline/gate", "variant"}, "arithmetic on a spec and a header"},
	"pipeline/master": {
		[]string{"pipeline/fetch", "pipeline/gate", "variant", "cache", "origin", "fault", "reach", "sniff"},
		"stands before the source of originals, and is asked as that is",
	},
	"prewarm": {[]string{"prewarm/draft", "prewarm/ledger", "prewarm/unit", "prewarm/usage", "prewarm/webhook",
		"pause", "variant", "pipeline", "fault", "reach", "trace"},
		"a door to the pipeline, beside the HTTP door and not behind it"},
	"prewarm/ledger": {[]string{"prewarm/unit", "cache", "fault", "pause", "reach", "variant"},
		"what is true of jobs: it knows neither who works on them nor who is told"},
	"prewarm/ledger/ledgertest": {[]string{"prewarm/ledger", "fault"}, "its law must not depend on NATS"},
	"prewarm/draft": {[]string{"prewarm/ledger", "prewarm/unit", "fault", "variant"},
		"a draft follows from the call and the rules alone"},
	"prewarm/usage": {[]string{"prewarm/ledger", "fault", "pause"},
		"counts what owners use: it knows neither calls nor pictures"},
	"prewarm/webhook": {[]string{"prewarm/ledger", "prewarm/unit", "fault", "secretfile", "trace"},
		"tells what the ledger holds: it decides nothing about jobs"},
	"prewarm/compat": {[]string{"prewarm/ledger", "prewarm/usage", "prewarm/webhook", "fault", "pipeline", "variant"},
		"the predecessor's call is beside the service, and shares queue, ledger and quotas with it"},

	"prewarm/unit": {[]string{"fault", "reach", "variant", "variant/naming"}, "reads hostile text: what it finds there depends on the text and the rules alone, so it knows no job"},

	"intake":            {[]string{"prewarm", "prewarm/ledger", "prewarm/unit", "prewarm/webhook", "fault", "pause", "trace"}, "a door to the accept path of prewarm: it knows no broker"},
	"intake/rabbitmq":   {[]string{"intake", "prewarm/unit", "fault", "pause", "secretfile"}, "an Intake and an Outlet and nothing else"},
	"natscreds":         {nil, "what two connections to NATS have in common"},
	"intake/nats":       {[]string{"intake", "fault", "natscreds", "pause", "secretfile"}, "an Intake and an Outlet and nothing else"},
	"intake/intaketest": {[]string{"intake", "fault"}, "the law of Intake and Outlet must not depend on one broker"},

	"intake/bucketevents": {[]string{"intake", "prewarm/unit", "fault"},
		"what follows from an event depends on the rules alone"},

	"intake/sqs": {[]string{"intake", "pause"}, "speaks to SQS, and knows nothing of what messages mean"},

	"purge": {[]string{"cache", "pause", "stall"},
		"the order of purges: it knows neither pictures nor NATS, so that a test can lose, delay and reorder at will"},

	"purge/purgetest": {[]string{"purge"}, "the law of Log, and a log in memory, must not depend on NATS"},

	"prewarm/natsqueue": {[]string{"prewarm/ledger", "purge", "links", "fault", "natscreds", "pause", "secretfile", "stall"}, "what instances share in a cluster: the Queue, the Ledger and the log of purges"},

	"server": {[]string{"server/access", "server/api", "server/console", "server/exchange", "server/image", "server/wire", "signing",
		"fault", "metrics", "pause", "pressure", "trace"},
		"the HTTP front: it owns listeners, and leaves the answers to the rooms"},
	"server/access": {[]string{"fault", "intake/bucketevents", "prewarm/ledger", "prewarm/unit", "prewarm/usage", "secretfile", "signing", "variant"},
		"who may do what is decided before anything is read or written, so it knows no answer"},
	"server/exchange": {[]string{"server/access", "fault", "metrics", "pipeline", "pressure", "trace", "variant"},
		"what every answer shares, whatever the door: it knows none of them"},
	"server/fields": {[]string{"cache", "variant", "variant/hints"},
		"reads header fields: what it says follows from them alone"},
	"server/image": {[]string{"server/access", "server/exchange", "server/fields", "server/wire", "cache", "fault", "metrics",
		"grammar", "pipeline", "pressure", "reach", "signing", "trace", "variant"},
		"the viewers' door: it asks the pipeline and reaches past it for nothing but the Entry it serves"},
	"server/api": {[]string{"server/access", "server/exchange", "server/fields", "cache", "fault", "grammar", "metrics", "pipeline", "pressure",
		"intake", "intake/bucketevents", "prewarm", "prewarm/ledger", "prewarm/unit", "prewarm/usage", "signing", "variant"},
		"the door of backends and operators: it knows neither viewers nor the page"},
	"server/console": {[]string{"server/access", "server/exchange", "server/fields", "fault", "grammar", "pipeline", "variant"},
		"the operators' page: what it may see is the server's to decide"},
	"server/wire": {nil, "moves bytes below net/http: it knows HTTP/1 and no picture"},

	"client": {[]string{"signing", "variant", "variant/naming", "fault", "pause"},
		"backends import it: it stays small and free of the server"},
	"config": {[]string{"intake/bucketevents", "intake/sqs", "server", "server/access", "signing", "origin", "origin/localsource", "origin/manners", "origin/s3source",
		"transform", "variant", "variant/naming", "cache", "cache/dirstore", "cache/s3store", "pipeline", "prewarm", "prewarm/compat", "prewarm/natsqueue", "prewarm/unit", "prewarm/usage", "prewarm/webhook", "pressure", "report", "secretfile", "telemetry", "fault", "heat", "links", "intake"},
		"imports only packages that hold a Config struct, and prewarm/unit, which says whether a selector is one"},

	"":    {[]string{"cli"}, "main calls cli"},
	"cli": {[]string{"app", "cli/advice", "cli/demo", "cli/feed", "cli/migrate", "cli/progress", "cli/unitfile", "client", "config", "fault", "grammar", "pause", "pipeline", "server/access", "signing", "variant", "variant/about"}, "the commands: they call app and client, and say what happened"},
	"app": {[]string{"*"}, "the composition root: the only place that knows all"},

	"cli/advice":   {[]string{"app", "fault"}, "words for failures, which no package below should have to choose"},
	"cli/demo":     {[]string{"app", "client", "config", "server/access", "signing"}, "a user of the product: it serves and asks as anybody does"},
	"cli/feed":     {[]string{"client", "fault", "intake", "intake/rabbitmq", "pause"}, "hands over units as they come, and knows nothing of what is done with them"},
	"cli/progress": {[]string{"cli/advice", "client", "fault"}, "shows the counts of jobs, and asks nobody for them"},
	"cli/migrate":  {[]string{"fault", "grammar", "signing", "variant"}, "reads a log, and judges URLs as a server would, without one"},
	"cli/unitfile": {nil, "reads text, and knows no server"},

	"house": {nil, "it reads the repository as a reader does"},

	"e2e": {nil, "a black box: it sees the binary and the contract only"},
}

// fence keeps one dependency inside the packages that own it. A path ending in "/" means everything below it.
type fence struct {
	path string
	only []string
	why  string
}

var fences = []fence{
	{"C", []string{"transform/codec/look", "transform/codec/score", "transform/codec/sequence", "transform/codec/svg",
		"transform/codec/vips"},
		"C code reads hostile files: it runs in worker processes alone"},
	{"unsafe", []string{"transform", "transform/codec/look", "transform/codec/score", "transform/codec/sequence",
		"transform/codec/svg", "transform/codec/vips"},
		"only the shared memory and its C neighbours need it"},
	{"github.com/h2non/bimg", []string{"transform/codec"}, "it starts libvips when imported, and is cgo"},
	{"github.com/labstack/echo/", []string{"server", "server/api", "server/console", "server/exchange", "server/image"},
		"HTTP types below the server tie the pipeline to a router"},
	{"github.com/aws/", []string{"cache/s3store", "intake/sqs", "origin/s3source"},
		"one store owns the SDK; the others must build without it"},
	{"github.com/hashicorp/golang-lru/", []string{"cache", "links", "server/access"},
		"the memory tier is the only cache of variants; the others bound small tables"},
	{"github.com/rabbitmq/", []string{"intake/rabbitmq"}, "an intake is a contract: one implementation owns each broker"},
	{"github.com/nats-io/", []string{"natscreds", "prewarm/natsqueue", "intake/nats"}, "the queue is a contract: one implementation owns NATS"},
	{"github.com/prometheus/", []string{"metrics", "server", "telemetry"}, "leaves report through an Observer and count nothing themselves"},
	{"go.opentelemetry.io/", []string{"telemetry"}, "the others name their steps by trace, which costs nothing where nobody records"},
	{"github.com/getsentry/", []string{"report"}, "one place decides what is sent to others, and without which secrets"},
	{"go.yaml.in/", []string{"config"}, "one place reads configuration files"},
	{"net/http", []string{"app", "cache/s3store", "cli", "cli/demo", "client", "metrics", "origin",
		"origin/localsource", "origin/manners", "origin/s3source", "prewarm/webhook", "report", "server",
		"server/access", "server/api", "server/console", "server/exchange", "server/fields", "server/image", "server/wire"},
		"only doors and remote parts speak HTTP"},
	{"os/exec", []string{"transform"}, "only the pool starts processes"},
}

// listed is the part of `go list -json` that the rules read.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	CgoFiles   []string
}

func TestImportsFollowTheDesign(t *testing.T) {
	pkgs := list(t)
	if !slices.ContainsFunc(pkgs, func(p listed) bool { return p.ImportPath == module+"/fault" }) {
		t.Fatalf("go list names %d packages, and not ours: nothing would be judged", len(pkgs))
	}
	for _, v := range violations(pkgs) {
		t.Error(v)
	}
}

// list describes the module's packages and, for the rule about cgo, all that they and their tests depend on.
func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-test", "-json=ImportPath,Standard,Imports,Deps,CgoFiles", "./...")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
}

// violations are the sentences about every rule that pkgs breaks.
func violations(pkgs []listed) []string {
	var out []string
	usesCgo := map[string]bool{}
	for _, p := range pkgs {
		if !p.Standard && len(p.CgoFiles) > 0 {
			usesCgo[p.ImportPath] = true
		}
	}
	for _, p := range pkgs {
		name, ours := inModule(p.ImportPath)
		if !ours || strings.Contains(p.ImportPath, " [") {
			continue // a variant of a package that was rebuilt for a test: judged under its plain name
		}
		if base, ok := strings.CutSuffix(name, ".test"); ok {
			out = append(out, cgoViolations(base, " (its tests)", p, usesCgo)...)
			continue
		}
		out = append(out, cgoViolations(name, "", p, usesCgo)...)
		out = append(out, importViolations(name, p.Imports)...)
	}
	return out
}

func importViolations(name string, imports []string) []string {
	rule, ok := layers[name]
	if !ok {
		return []string{fmt.Sprintf("package %q has no rule in arch_test.go: draw it into the import graph first", name)}
	}
	var out []string
	for _, imp := range imports {
		other, ours := inModule(imp)
		if ours && other != "invalid" && !slices.Contains(rule.may, other) && !slices.Contains(rule.may, "*") {
			out = append(out, fmt.Sprintf("package %q must not import %q: %s", name, other, rule.why))
		}
		for _, f := range fences {
			if matches(imp, f.path) && !slices.Contains(f.only, name) {
				out = append(out, fmt.Sprintf("package %q must not import %s, only %q may: %s", name, imp, f.only, f.why))
			}
		}
		if slices.ContainsFunc(pure[name], func(path string) bool { return matches(imp, path) }) {
			out = append(out, fmt.Sprintf("package %q must not import %s: it is pure, its answers depend on its arguments alone", name, imp))
		}
	}
	return out
}

func cgoViolations(name, suffix string, p listed, usesCgo map[string]bool) []string {
	if !slices.Contains(cgoFree, name) {
		return nil
	}
	var out []string
	for _, dep := range append([]string{p.ImportPath}, p.Deps...) {
		if usesCgo[dep] {
			out = append(out, fmt.Sprintf("package %q%s must not depend on cgo, but reaches %s: it has to build and test without libvips", name, suffix, dep))
		}
	}
	return out
}

// inModule gives a package's path below the module's root ("" for the root itself).
func inModule(path string) (string, bool) {
	if path == module {
		return "", true
	}
	return strings.CutPrefix(path, module+"/")
}

func matches(path, rule string) bool {
	return path == rule || strings.HasSuffix(rule, "/") && strings.HasPrefix(path, rule)
}
