# An image that runs the program dinomaly:
#   docker build -t dinomaly .
#   docker run --rm -v "$PWD":/data dinomaly predict model.safetensors images --out results
FROM debian:12 AS build
COPY . /source
WORKDIR /source
RUN ./scripts/setup.sh
RUN apt-get install -y -qq --no-install-recommends dpkg-dev file
RUN cmake --preset release && cmake --build --preset release && cpack --config build-release/CPackConfig.cmake -B /packages

FROM debian:12-slim
COPY --from=build /packages/dinomaly_*.deb /tmp/
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends /tmp/dinomaly_*.deb \
  && rm -rf /tmp/dinomaly_*.deb /var/lib/apt/lists/*
WORKDIR /data
ENTRYPOINT ["dinomaly"]
CMD ["--help"]
