# refloop in an image that holds the binary and nothing else.
#
#   docker build -t refloop .
#   docker run --read-only --cap-drop ALL -p 8080:8080 -v refloop:/data refloop
#
# Everything that refloop keeps is in the volume /data. Other commands: docker run --rm -v refloop:/data refloop verify

ARG RUST=1.95
FROM rust:${RUST}-slim-bookworm AS build

# The machine's own architecture: x86_64 or aarch64.
RUN apt-get update \
 && apt-get install -y --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /refloop

# The dependencies, in a layer that only a change of these makes anew: refloop without its sources.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir src \
 && touch src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked --bin refloop --target "$(uname -m)-unknown-linux-musl"

# touch: the sources may be older than the empty ones above, and cargo goes by their time.
COPY schema.sql ./
COPY templates templates
COPY src src
RUN touch src/lib.rs src/main.rs \
 && cargo build --release --locked --bin refloop --target "$(uname -m)-unknown-linux-musl" \
 && cp "target/$(uname -m)-unknown-linux-musl/release/refloop" /usr/local/bin/refloop \
 && mkdir -p /image/data

FROM scratch

# A new named volume takes the owner of the directory it is laid over, so /data belongs to the user that refloop runs as.
# Its parent is copied, as the owner is then surely set on /data itself and not only on what is in it.
COPY --from=build --chown=65532:65532 /image/ /
COPY --from=build /usr/local/bin/refloop /refloop

USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV REFLOOP_LISTEN=0.0.0.0:8080 \
    REFLOOP_DB=/data/refloop.db
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/refloop", "healthcheck"]
ENTRYPOINT ["/refloop"]
CMD ["serve"]
