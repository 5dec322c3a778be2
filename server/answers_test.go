package server

import (
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/server/exchange"
	"github.com/goldcrest/goldcrest/variant"
)

// These are answers as a caller reads them, as far as the tests look.

type problem struct {
	Status int        `json:"status"`
	Code   fault.Kind `json:"code"`
}

type purgeAnswer struct {
	Purged  int      `json:"purged"`
	Sources int      `json:"sources"`
	CDNTags []string `json:"cdn_tags"`
	CDNAll  bool     `json:"cdn_all"`
}

type sessionAnswer struct {
	Token   string   `json:"token"`
	Scopes  []string `json:"scopes"`
	CSRF    string   `json:"csrf"`
	BaseURL string   `json:"base_url"`
	Presets []string `json:"presets"`
	Queue   bool     `json:"queue"`
}

type explainedRun struct {
	Outcome   string     `json:"outcome"`
	Code      fault.Kind `json:"code"`
	Detail    string     `json:"detail"`
	Retryable bool       `json:"retryable"`
	Queue     int64      `json:"queue_ms"`
	Fetch     int64      `json:"fetch_ms"`
	Transform int64      `json:"transform_ms"`
}

type explanation struct {
	Signature  string         `json:"signature"`
	Refused    fault.Kind     `json:"refused"`
	Detail     string         `json:"detail"`
	SourceHost string         `json:"source_host"`
	Options    string         `json:"options"`
	Expires    *time.Time     `json:"expires"`
	Open       bool           `json:"open"`
	Vary       string         `json:"vary"`
	Format     variant.Format `json:"format"`
	Class      string         `json:"class"`
	Key        string         `json:"key"`
	Tier       string         `json:"tier"`
	Stored     *struct {
		Bytes int64  `json:"bytes"`
		Stage string `json:"stage"`
	} `json:"stored"`
	Run *explainedRun `json:"run"`
}

type signedURL struct {
	Source  string     `json:"source"`
	URL     string     `json:"url"`
	Expires *time.Time `json:"expires"`
}

type statsAnswer struct {
	Errors []exchange.Trouble `json:"errors"`
}

type acceptedUnit struct {
	Index int         `json:"index"`
	Line  *int        `json:"line"`
	Error *unit.Error `json:"error"`
}
