// Shows the description of the API that lies beside this page. Nothing is
// fetched from, or checked by, another host.
SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#api",
  validatorUrl: null,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  displayOperationId: true,
});
