package app

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/origin/localsource"
	"github.com/goldcrest/goldcrest/origin/manners"
	"github.com/goldcrest/goldcrest/origin/s3source"
)

// Doctor describes each pattern of sources, in the order in which patterns are matched.
func TestCheckSources(t *testing.T) {
	got := ""
	for _, c := range checkSources(config.Sources{
		Hosts: []manners.Host{
			{
				Match: []string{"*.shop.example", "b.example"}, Headers: map[string]string{"X-B": "b", "X-A": "a"},
				SecretHeaders: map[string]string{"X-Key": "/run/key"}, BearerFile: "/run/token", AllowHTTP: true,
				Referer: "https://r.example/",
				Proxy:   manners.Proxy{URL: "http://proxy.example:3128"}, TLS: manners.TLS{CertFile: "/c",
					KeyFile: "/k", Min: "1.3"},
			},
			{Match: []string{"*"}},
		},
		S3: []s3source.Buckets{
			{Names: []string{"media"}, Region: "eu-central-1", Role: s3source.Role{ARN: "arn:aws:iam::1:role/x"}},
			{Names: []string{"*"}, Endpoint: "https://minio.example", CredentialsFile: "/run/s3"},
		},
		GS:    []s3source.Buckets{{Names: []string{"g-*"}, Profile: "google"}},
		Local: []localsource.Root{{At: "/shop/", Dir: "/srv"}},
	}) {
		got += c.Name + " " + c.Detail + "\n"
	}
	want := `origin.hosts *.shop.example b.example: X-A, X-B, X-Key (secret), ` +
		`Bearer authentication, Referer, a client certificate, ` +
		`TLS 1.3 or later, through http://proxy.example:3128, secrets over plain http too
origin.hosts *: nothing
origin.s3 media: AWS eu-central-1, credentials of the environment, role arn:aws:iam::1:role/x
origin.s3 *: https://minio.example, credentials of /run/s3
origin.gs g-*: https://storage.googleapis.com, credentials of profile google
origin.local local:///shop/: files below /srv
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(checkSources(config.Sources{})) != 0 || strings.Contains(got, "b.example: b") {
		t.Error("told of what is not configured")
	}
}
