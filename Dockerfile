# The base images are arguments so that the same file builds from a mirror or a local root file system. deploy/README.md says how to pin digests.
ARG BUILD_BASE=golang:1.26.8-trixie
ARG RUN_BASE=debian:13.8-slim

# The program is compiled by the machine's own processor, for TARGETARCH by a cross compiler.
FROM --platform=${BUILDPLATFORM} ${BUILD_BASE} AS build
ARG TARGETARCH
WORKDIR /src
COPY .ci/target .ci/
RUN .ci/target "${TARGETARCH}" install && rm -rf /var/lib/apt/lists/*
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN .ci/target "${TARGETARCH}" go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /goldcrest . && .ci/licenses /licenses

FROM ${RUN_BASE}
# librsvg and the fonts draw SVG. trixie splits libheif's codecs into plugins: without aomenc AVIF fails at run time only.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libvips42t64 librsvg2-2 fonts-dejavu-core fonts-dejavu-mono \
      libheif-plugin-aomenc libheif-plugin-dav1d libheif-plugin-libde265 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/goldcrest --create-home goldcrest
COPY --from=build /goldcrest /usr/local/bin/goldcrest
COPY --from=build /licenses /usr/share/doc/goldcrest/licenses
COPY config.yaml /etc/goldcrest/config.yaml
ENV MALLOC_ARENA_MAX=2 GOLDCREST_CONFIG=/etc/goldcrest/config.yaml
USER goldcrest
WORKDIR /var/lib/goldcrest
VOLUME /var/lib/goldcrest
EXPOSE 8080
# Fails the build, not the first picture, when a codec is missing.
RUN ["/usr/local/bin/goldcrest", "doctor", "-codecs"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["/usr/local/bin/goldcrest", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/goldcrest"]
CMD ["serve"]
