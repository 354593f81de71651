// Stands for the adapter of a chat service: nobody is connected to.
export const adapt = (name) => console.log(`channel ${name}`);
