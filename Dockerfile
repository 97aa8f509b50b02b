# syntax=docker/dockerfile:1
# docker build -t lumo-bridge .
#
# `build` compiles the program; `built` takes the ones that `.ci/dist` has made, for an image of several architectures.
ARG PROGRAM_FROM=build

FROM rust:1.94-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin lumo-bridge && cp target/dist/lumo-bridge /lumo-bridge

FROM scratch AS built
ARG TARGETARCH
COPY dist/image/${TARGETARCH}/lumo-bridge /lumo-bridge

FROM ${PROGRAM_FROM} AS program

# Nothing but the C library, the certificates of the public authorities, and a user without rights.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=program --chmod=755 /lumo-bridge /usr/local/bin/lumo-bridge
USER nonroot
WORKDIR /home/nonroot
ENV LUMO_BRIDGE_CONFIG=/etc/lumo-bridge/config.yaml
HEALTHCHECK --interval=30s --timeout=6s --start-period=30s CMD ["/usr/local/bin/lumo-bridge", "health"]
ENTRYPOINT ["/usr/local/bin/lumo-bridge"]
CMD ["run"]
