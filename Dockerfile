# Two stages: the compilers and the development dependencies stay in the first one.

FROM node:24-bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without the sources of the native relay, so that a change of them does not install everything anew.
RUN npm ci
COPY native ./native
# Where it cannot be built, the build only says so; an image without it is no image.
RUN npm run build:native && test -e build/relay.node
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="upgate" \
      org.opencontainers.image.description="A gateway for HTTP Upgrade" \
      org.opencontainers.image.licenses="MIT"
# Nothing is installed at run time, so nothing that could install is there.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
           /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-*
# One heap of glibc's for all threads: what one frees the others use. Else it is a third more memory for each tunnel.
ENV NODE_ENV=production \
    MALLOC_ARENA_MAX=1 \
    UPGATE_ADMIN_ADDRESS=0.0.0.0:9090 \
    UPGATE_HEALTH_URL=http://127.0.0.1:9090/healthz
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/build ./build
COPY --from=build /app/dist ./dist
COPY config/docker/upgate.yaml /etc/upgate/upgate.yaml
USER node
# Clients; metrics and health.
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "require('http').get(process.env.UPGATE_HEALTH_URL, (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
ENTRYPOINT ["node", "--disable-sigusr1", "/app/dist/main.js"]
CMD ["run"]
