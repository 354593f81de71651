// The steps of the setup by their names; tsx of this tree runs the .js beside.
export const STEPS = {
  gateway: './gateways/gateway.js',
};
