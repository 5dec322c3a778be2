package house

// pure packages decide by their arguments alone: a test, a phone's build tool and a worker get the same answer.
var pure = map[string][]string{
	"fault":   {"os", "os/", "io/fs", "net", "net/http"},
	"reach":   {"os", "os/", "io/fs", "net", "net/http"},
	"variant": {"os", "os/", "io/fs", "net", "net/http"},
	"sniff":   {"os", "os/", "io/fs", "net", "net/http"},
	"thumbor": {"os", "os/", "io/fs", "net", "net/http"},

	"prewarm/unit":   {"os", "os/", "io/fs", "net", "net/http"},
	"variant/naming": {"os", "os/", "io/fs", "net", "net/http"},
	"variant/accept": {"os", "os/", "io/fs", "net", "net/http"},
	"variant/hints":  {"os", "os/", "io/fs", "net", "net/http"},
	"variant/about":  {"os", "os/", "io/fs", "net", "net/http"},

	"transform/codec/container": {"os", "os/", "io/fs", "net", "net/http"},
	"transform/codec/frosted":   {"os", "os/", "io/fs", "net", "net/http"},
	"transform/codec/geometry":  {"os", "os/", "io/fs", "net", "net/http"},
}

// cgoFree packages, and their tests, build without a C compiler and without libvips.
var cgoFree = []string{"fault", "grammar", "thumbor", "links", "metrics", "sniff", "variant", "variant/about",
	"variant/accept", "variant/hints", "variant/naming", "signing",
	"origin", "origin/localsource", "origin/manners", "origin/s3source", "cache", "cache/dirstore", "cache/s3store",
	"heat", "pressure", "reach", "trace", "report", "trace/tracetest", "telemetry", "secretfile", "pause",
	"pipeline/calm", "pipeline/fetch", "pipeline/gate", "pipeline/marks", "pipeline/master", "pipeline/verbatim",
	"pipeline/verdict", "pipeline/weight",
	"transform", "pipeline", "purge", "prewarm", "prewarm/compat", "prewarm/draft", "prewarm/ledger", "prewarm/natsqueue", "prewarm/unit", "prewarm/usage", "prewarm/webhook",
	"client", "config",
	"intake", "intake/bucketevents", "intake/sqs", "intake/rabbitmq", "intake/nats",
	"server", "server/access", "server/api", "server/console", "server/exchange", "server/fields", "server/image", "server/wire",
	"transform/codec/container", "transform/codec/credit", "transform/codec/dominant", "transform/codec/frosted", "transform/codec/geometry",
}
