package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goldcrest/goldcrest/fault"
)

// notKeys are the variables with our prefix that are not configuration: they are for the command line and tests.
var notKeys = map[string]bool{
	"GOLDCREST_CONFIG":      true, // the configuration file, when -config is not given
	"GOLDCREST_URL":         true, // the server that prewarm, check and purge talk to,
	"GOLDCREST_TOKEN":       true, // and their token
	"GOLDCREST_CORPUS":      true, // pictures for tests
	"GOLDCREST_VERSITYGW":   true, // the S3 server of the end-to-end tests
	"GOLDCREST_NATS_SERVER": true, // the NATS server of the end-to-end tests
	"GOLDCREST_E2E_RACE":    true, // builds the program of the end-to-end tests with the race detector
}

// serviceLink matches the variables that Kubernetes sets in every container for a Service whose name begins with
// "goldcrest". Refusing them would keep the server from starting there.
var serviceLink = regexp.MustCompile(`^GOLDCREST_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)=|^GOLDCREST_(\w+_)?PORT=(tcp|udp|sctp)://`)

// decodeEnviron decodes the environment's GOLDCREST_ variables over the struct in root. A string is used as it is;
// everything else is YAML text.
func decodeEnviron(environ []string, root reflect.Value) error {
	known := keys(root)
	twins := map[string]key{}
	var names []string
	for _, k := range known {
		if name := k.env(); name != "" {
			twins[name] = k
			names = append(names, name)
		}
	}
	var errs []error
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		k, ok := twins[name]
		switch {
		case !strings.HasPrefix(name, envPrefix):
		case ok:
			errs = append(errs, decodeVariable(name, text, k, known))
		case !notKeys[name] && !serviceLink.MatchString(pair):
			errs = append(errs, fmt.Errorf("environment: %s is not a key; the nearest one is %s", name, fault.Nearest(name, names)))
		}
	}
	return errors.Join(errs...)
}

func decodeVariable(name, text string, k key, known []key) error {
	if k.value.Kind() == reflect.String {
		k.value.SetString(text)
		return nil
	}
	d := decoder{from: name, known: known}
	n := d.parse([]byte(text))
	if n == nil && len(d.errs) == 0 {
		return fmt.Errorf("%s: the variable is empty: give a value, or unset it for the default", name)
	}
	if n != nil {
		d.value(n, k.value, k.member, k.path)
	}
	return errors.Join(d.errs...)
}
