# Goldcrest behind Varnish 7. For Fastly see README.md. Regular expressions cannot weigh Accept as the proxy does: they
# are coarser for headers that weigh or refuse image formats, which no browser sends. Only clients that name AVIF or
# WebP get it.
vcl 4.1;

import std;

backend default {
	.host = "127.0.0.1";
	.port = "8080";
	.first_byte_timeout = 30s;
	.probe = { .url = "/health"; .interval = 5s; .timeout = 2s; .initial = 3; }
}

# Who may ban by tag: curl -X BAN -H "Surrogate-Key: s-0123456789abcdef" http://varnish/
# Behind a TLS proxy on this machine every client.ip is the proxy's, so anyone could ban: configure the proxy to refuse
# BAN, or to use the PROXY protocol to Varnish (-a :6086,PROXY), which makes client.ip the viewer's.
acl purgers { "localhost"; }

sub vcl_recv {
	if (req.method == "BAN") {
		if (client.ip !~ purgers) { return (synth(403)); }
		if (req.http.Surrogate-Key !~ "^[-_A-Za-z0-9]+$") { return (synth(400)); }
		ban("obj.http.Surrogate-Key ~ (^|\s)" + req.http.Surrogate-Key + "(\s|$)");
		return (synth(200));
	}
	call goldcrest_recv;
	# Stale responses are sent at once within cache.swr, and within cache.sie if the proxy is down.
	if (std.healthy(req.backend_hint)) {
		set req.grace = 1h;
	}
}

# Replaces the headers that the proxy's Vary names by a few values, before the look-up.
sub goldcrest_recv {
	set req.http.X-Path = req.url; # with server.path_prefix: regsub(req.url, "^/prefix", "")
	call goldcrest_hints;
	call goldcrest_accept;
	unset req.http.X-Path;
	unset req.http.Save-Data;
	unset req.http.RTT;
	unset req.http.Downlink;
	unset req.http.Sec-CH-Width; # each width would be an entry: negotiation.client_hints has no effect here
	unset req.http.Width;
	unset req.http.Sec-CH-DPR;
	unset req.http.DPR;
	unset req.http.Cookie;
	unset req.http.Via;
	if (req.url !~ "/plain/") {
		set req.url = regsub(req.url, "\?.*$", ""); # no source uses it
	}
}

sub goldcrest_accept {
	# An explicit format: an option, or an extension after the source. After a "?" the extension may belong to the
	# source.
	if (req.http.X-Path ~ "(?i)^/[^/?]+(/[^/:%?]*(:|%3A)[^/?]*)*/(f|format|ext)(:|%3A)"
		|| req.http.X-Path ~ "(?i)^/[^/?]+(/[^/:%?]*(:|%3A)[^/?]*)*(/[-_a-z0-9]+)+\.[a-z]+(\?|$)"
		|| req.http.X-Path ~ "(?i)/plain/[^?]*@(jpe?g|png|webp|avif|jxl|gif)$") {
		unset req.http.Accept;
	} elseif (req.http.Accept ~ "(?i)(^|,)\s*(image/|\*)[^,]*;\s*q\s*=\s*0?(\.0*)?\s*(;|,|$)") {
		set req.http.Accept = "image/jpeg"; # it refuses a format
	# With jxl before avif in negotiation.formats, put before the next line:
	# } elseif (req.http.Accept ~ "(?i)(^|,)\s*image/jxl\s*(,|$)" && req.http.Accept ~ "(?i)image/avif") {
	#	set req.http.Accept = "image/jxl,image/avif,image/webp,*/*;q=0.8";
	} elseif (req.http.Accept ~ "(?i)(^|,)\s*image/avif\s*(,|$)") {
		set req.http.Accept = "image/avif,image/webp,*/*;q=0.8";
	} elseif (req.http.Accept ~ "(?i)(^|,)\s*image/webp\s*(,|$)") {
		set req.http.Accept = "image/webp,*/*;q=0.8";
	} elseif (req.http.Accept ~ "(?i)(^|,)\s*image/jpe?g\s*(;|,|$)"
		&& req.http.Accept !~ "(?i)(^|,)\s*(image/(png|\*)|\*(/\*)?)\s*(;|,|$)") {
		set req.http.Accept = "image/jpeg"; # it does not accept PNG for transparent pictures
	} elseif (req.http.Accept ~ "(?i)(^|,)\s*image/(png|jpe?g|gif|webp|avif|jxl)\s*(;|,|$)") {
		set req.http.Accept = "image/jpeg,*/*;q=0.8";
	} else {
		set req.http.Accept = "*/*"; # it names no format: negotiation.unknown
	}
}

# One ECT value for all slow clients, none for the others, and none if the URL has no net:auto. Every preset counts as
# net:auto. If your URLs use other presets too, replace [^/]* by the names of those with net:auto, such as
# (auto|mobile).
sub goldcrest_hints {
	if (req.http.X-Path ~ "^/[^/?]+(/[^/:%?]*(:|%3A)[^/?]*)*/(net(:|%3A)auto|(pr|preset)(:|%3A)[^/]*)/"
		&& (req.http.Save-Data ~ "(?i)^\s*on\s*$"
		|| req.http.ECT ~ "(?i)^\s*(slow-2g|2g|3g)\s*$"
		|| req.http.RTT ~ "^\d+(\.\d+)?$" && std.real(req.http.RTT, 0.0) >= 400.0
		|| req.http.Downlink ~ "^\d+(\.\d+)?$" && std.real(req.http.Downlink, 9.0) < 1.0)) {
		set req.http.ECT = "3g";
	} else {
		unset req.http.ECT;
	}
}

sub vcl_backend_response {
	if (beresp.http.Cache-Control ~ "stale-if-error=\d+") {
		set beresp.grace = std.duration(regsub(beresp.http.Cache-Control, "^.*stale-if-error=(\d+).*$", "\1s"), beresp.grace);
	}
}
