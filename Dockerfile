# Pin both for a release: --build-arg BASE_IMAGE=gcr.io/distroless/nodejs24-debian12@sha256:…
ARG BUILD_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian12

FROM $BUILD_IMAGE AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM $BUILD_IMAGE AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts/install-missing.sh scripts/
RUN sh scripts/install-missing.sh
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build

# All that comes on top of the base: what is read at run time and nothing else, with modes for any user and fixed times, so
# that the same sources make the same bytes. The helpers are the program's: flock keeps two workers apart, sync makes a volume
# durable, fallocate reserves space.
FROM $BUILD_IMAGE AS files
ARG BASE_IMAGE
ARG SOURCE_DATE_EPOCH=0
COPY package.json package-lock.json .npmrc LICENSE /image/app/
COPY --from=dependencies /app/node_modules /image/app/node_modules
COPY --from=build /app/dist /image/app/dist
COPY scripts/sbom.ts /image/scripts/
RUN cd /image/app && node ../scripts/sbom.ts sbom.cdx.json \
 && rm -r package-lock.json .npmrc node_modules/.package-lock.json dist/types ../scripts \
 && find node_modules -type f \( -name '*.ts' -o -name '*.[cm]ts' -o -name '*.map' -o -name '*.md' \) -delete \
 && install -D -t /image/usr/local/bin /usr/bin/flock /usr/bin/sync /usr/bin/fallocate \
 && chmod -R u=rwX,go=rX /image \
 && find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM $BASE_IMAGE
ARG BASE_IMAGE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oss-populator" \
      org.opencontainers.image.description="Fills a volume from an Alibaba Cloud OSS path: fast, verified, durable." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
ENV NODE_ENV=production
COPY --from=files /image /
# Root on purpose: the root directory of a fresh volume belongs to root, and nobody else could write there. The program
# needs no capability and no writable root filesystem, so a pod may set any other user that owns its volume.
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/cli.js"]
